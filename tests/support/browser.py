"""A page opened in headless Chromium, in a frame, and what a script finds there."""

import base64
import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest

CHROMIUM = shutil.which("chromium")
QUIET = ("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync")

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")


def look(page, script, folder, *, dark=False):
    """What ``script``, the body of a function of ``d`` (document) and ``w`` (window), returns, through JSON."""
    wrapper = folder / "wrapper.html"
    wrapper.write_text(
        f"""<!doctype html><title>none</title><body>
<iframe id="page" width="1280" height="900" srcdoc="{html.escape(page)}"></iframe>
<pre id="found"></pre>
<script>
document.getElementById("page").addEventListener("load", (event) => {{
  const w = event.target.contentWindow, d = w.document;
  let found;
  try {{ found = (() => {{ {script} }})(); }} catch (error) {{ found = {{ error: String(error) }}; }}
  document.getElementById("found").textContent = "FOUND" + btoa(encodeURIComponent(JSON.stringify(found))) + "END";
}});
</script>""",
        encoding="utf-8",
    )
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", *QUIET, f"--user-data-dir={folder / 'profile'}",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}", "--virtual-time-budget=5000", "--dump-dom",
        Path(wrapper).as_uri(),
    ]  # fmt: skip
    dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    found = re.search(r">FOUND([\w+/=]+)END<", dom)
    assert found, dom[-2000:]
    answer = json.loads(unquote(base64.b64decode(found[1]).decode()))
    assert not (isinstance(answer, dict) and "error" in answer), answer
    return answer
