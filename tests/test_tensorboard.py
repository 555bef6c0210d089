"""A trace in TensorBoard: the profiler plugin's HTTP routes, and its pages in a browser."""

import base64
import gzip
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager

import pytest

from vitbench.declare.measure import MeasureConfig
from vitbench.declare.vit import ViTConfig
from vitbench.trace.attribution import CONVOLUTIONS
from vitbench.trace.record import record
from vitbench.trace.summary import summarize

MISSING = [name for name in ("tensorboard", "torch_tb_profiler") if importlib.util.find_spec(name) is None]
DRIVER = shutil.which("chromedriver")
PLUGIN = "data/plugin/pytorch_profiler/"
PATIENCE_S = 120

pytestmark = [
    pytest.mark.nightly("browser"),
    pytest.mark.skipif(bool(MISSING), reason=f"no {' and no '.join(MISSING)} here: pip install 'vitbench[trace]'"),
]

CHARTS = """
const table = () => ({rows: [], addColumn() {}, addRow(r) { this.rows.push(r) }, addRows(r) { this.rows.push(...r) },
                      setProperty() {}, setCell() {}});
class Chart {
  constructor(element) { this.element = element; }
  draw(data, options) {
    this.element.innerText = `CHART ${(options || {}).title || ""} ${JSON.stringify(data.rows).slice(0, 4000)}`;
  }
  clearChart() { this.element.innerText = ""; }
  getSelection() { return []; }
  setSelection() {}
}
const visualization = {DataTable: table, events: {addListener() {}, removeListener() {}},
                       arrayToDataTable: (rows) => ({rows})};
for (const name of ["ColumnChart", "ComboChart", "LineChart", "PieChart", "SteppedAreaChart", "Table", "Timeline"])
  visualization[name] = Chart;
visualization.DataTable = function () { return table(); };
window.google = {charts: {load: () => Promise.resolve()}, visualization};
"""
"""Stands in for Google Charts, which the plugin has the browser fetch: writes the numbers it is given as text."""


def waited(look, *, every_s=0.3):
    """What ``look`` finds, once it finds something."""
    end = time.monotonic() + PATIENCE_S
    while not (found := look()) and time.monotonic() < end:
        time.sleep(every_s)
    assert found, "nothing came"
    return found


@contextmanager
def process(command, announced):
    """Runs a server; yields what its output says about where it listens."""
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        said = []
        for line in running.stdout:
            said.append(line)
            if found := re.search(announced, line):
                yield found[1]
                break
        else:
            pytest.fail("".join(said))
    finally:
        running.terminate()
        running.stdout.close()
        running.wait(timeout=30)


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """The address of a TensorBoard over one trace, and our own summary of it."""
    root = tmp_path_factory.mktemp("board")
    config = ViTConfig(img_size=8, patch_size=2, in_chans=1, num_classes=10, embed_dim=32, depth=2, num_heads=2)
    settings = MeasureConfig(batch_size=2)
    summary = summarize(record("tiny", config, settings, folder=root / "tiny", mode="train_step", steps=3))
    options = ["--logdir", str(root), "--port", "0", "--host", "127.0.0.1", "--load_fast=false"]
    with process([sys.executable, "-m", "tensorboard.main", *options], r"(http://127\.0\.0\.1:\d+/)") as address:
        waited(lambda: json.loads(fetch(address, "runs"))["runs"])
        yield address, summary


def fetch(address, route, **query):
    question = f"?{urllib.parse.urlencode(query)}" if query else ""
    with urllib.request.urlopen(f"{address}{PLUGIN}{route}{question}", timeout=60) as answer:
        body = answer.read()
        return gzip.decompress(body) if answer.headers.get("Content-Encoding") == "gzip" else body


def test_the_plugins_routes_have_the_traces_content(board):
    address, summary = board

    def get(route, **query):
        return json.loads(fetch(address, route, **query))

    assert get("runs") == {"runs": ["tiny"], "loading": False}
    assert get("views", run="tiny") == ["Overview", "Operator", "Trace", "Memory"]
    assert get("workers", run="tiny", view="Overview") == ["vitbench"]
    (span,) = get("spans", run="tiny", worker="vitbench")
    of = {"run": "tiny", "worker": "vitbench", "span": span}

    overview = get("overview", **of)
    assert [row[0] for row in overview["steps"]["rows"]] == ["1", "2", "3"]

    rows = {row["name"]: row for row in get("operation/table", group_by="Operation", **of)["data"]}
    for ours in (operation for operation in summary.operations if operation["name"].startswith("aten::")):
        theirs = rows[ours["name"]]
        assert theirs["calls"] == ours["calls"] * summary.steps
        if ours["name"] not in CONVOLUTIONS:  # ours are with the kernels that they call
            assert theirs["host_self_duration"] == pytest.approx(1000 * ours["ms"] * summary.steps, rel=0.01, abs=5)
    assert len(get("operation", group_by="Operation", **of)["host_self_time"]["rows"]) > 0

    peak = get("memory_curve", memory_metric="B", **of)["metadata"]["peaks"]["CPU"]
    assert f"{(summary.memory['peak'] - summary.memory['held']) / 1:.1f}B" in peak.replace(",", "")
    assert len(get("memory", **of)["rows"]) > 0
    assert len(get("memory_events", **of)["rows"]["CPU"]) > 0

    trace = get("trace", **of)
    names = [event["name"] for event in trace["traceEvents"]]
    assert names.count("module blocks.1.attn") == 3
    with pytest.raises(urllib.error.HTTPError):
        fetch(address, "views", run="none")


CHOOSE = """
const option = [...document.querySelectorAll("li[role=option]")].find((each) => each.textContent.trim() === %s);
if (option) option.click();
return Boolean(option);
"""


class Browser:
    """Headless Chromium through chromedriver (W3C WebDriver)."""

    def __init__(self, port, profile_folder):
        self.port = port
        options = {
            "binary": shutil.which("chromium"),
            "args": [
                "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
                "--disable-component-update", "--disable-sync", "--window-size=1500,1300",
                f"--user-data-dir={profile_folder}", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
            ],
        }  # fmt: skip
        wanted = {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}
        self.at = ""
        self.at = f"/session/{self.post('/session', capabilities=wanted)['sessionId']}"

    def post(self, path, **body):
        return self.ask("POST", path, json.dumps(body).encode())

    def ask(self, method, path, body=None):
        url = f"http://127.0.0.1:{self.port}{self.at}{path}"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return json.loads(answer.read())["value"]

    def run(self, script):
        return self.post("/execute/sync", script=script, args=[])

    def all(self, selector):
        return [next(iter(e.values())) for e in self.post("/elements", using="css selector", value=selector)]

    def click(self, element):
        self.post(f"/element/{element}/click")

    def text(self, element):
        return self.ask("GET", f"/element/{element}/text")

    def body(self):
        return self.run("return document.body.innerText")

    def picture(self, path):
        path.write_bytes(base64.b64decode(self.ask("GET", "/screenshot")))


@pytest.mark.skipif(DRIVER is None or not shutil.which("chromium"), reason="no chromium and chromedriver here")
def test_the_pages_show_the_trace_in_a_browser(board, tmp_path):
    address, summary = board
    with process([DRIVER, "--port=0"], r"started successfully on port (\d+)") as port:
        browser = Browser(port, tmp_path / "profile")
        try:
            browser.post("/goog/cdp/execute", cmd="Page.addScriptToEvaluateOnNewDocument", params={"source": CHARTS})
            browser.post("/url", url=f"{address}#pytorch_profiler")
            waited(lambda: browser.all("iframe"))
            browser.post("/frame", id=0)

            def shown(view, *words):
                """The page's text once it has all words."""
                _, views, *_ = waited(lambda: (boxes := browser.all(".MuiSelect-root"))[1:] and boxes)
                if browser.text(views) != view:
                    browser.click(views)
                    waited(lambda: browser.run(CHOOSE % json.dumps(view)))
                waited(lambda: all(word in browser.body() for word in words))
                time.sleep(1)  # its colours fade in
                browser.picture(tmp_path / f"{view}.png")
                return browser.body()

            overview = shown("Overview", "tiny", "vitbench", "Execution Summary", "Step Time Breakdown", "CHART")
            assert "Number of Worker(s)" in overview
            operators = shown("Operator", "Host Self Time", "CHART", "aten::")
            assert summary.operations[0]["name"] in operators
            peak = f"{(summary.memory['peak'] - summary.memory['held']) / 2**20:.1f}MB"
            assert f"Peak Memory Usage: {peak}" in shown("Memory", "Memory View", "Peak Memory Usage", "aten::mm")
            assert (tmp_path / "Overview.png").stat().st_size > 10_000
        finally:
            browser.ask("DELETE", "")
