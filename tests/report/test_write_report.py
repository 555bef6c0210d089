"""The whole report: the golden text, the same bytes again, without torch, and hostile names."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.made_records import Made, pos_embed
from vitbench import report
from vitbench.utils.errors import UserError

GOLDEN = Path(__file__).parent / "golden"
HOSTILE = "a|b`<script>alert(1)</script> ]( & $x$"

BLOCKED = """
import sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ImportError("torch cannot be imported here")
sys.meta_path.insert(0, NoTorch())
from vitbench.report.__main__ import main
status = main(sys.argv[1:])
assert "torch" not in sys.modules
sys.exit(status)
"""


def written(folder):
    """Path → bytes of everything derived."""
    report.write(folder)
    found = [
        folder / "table.csv",
        folder / "table.tex",
        folder / "report.md",
        folder / "report.html",
        *sorted((folder / "figures").iterdir()),
    ]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def without_torch(*arguments):
    """The command in a process where torch cannot be imported."""
    command = [sys.executable, "-W", "error", "-c", BLOCKED, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pos_embed", "vit_vs_resnet"])
def test_markdown_is_the_golden_text(tmp_path, twelve, name):
    folder = twelve if name == "vit_vs_resnet" else tmp_path
    if folder is tmp_path:
        pos_embed(folder)
        report.write(folder)
    golden, text = GOLDEN / f"{name}.md", (folder / "report.md").read_text(encoding="utf-8")
    if os.environ.get("VITBENCH_REWRITE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_report_is_rebuilt_byte_for_byte_elsewhere_and_without_torch(tmp_path):
    pos_embed(tmp_path / "here")
    first = written(tmp_path / "here")
    assert len(first) == 4 + 2 * 5
    elsewhere = tmp_path / "a" / "folder with spaces"
    elsewhere.mkdir(parents=True)
    for name in ("records.jsonl", "environments.jsonl"):
        shutil.copy(tmp_path / "here" / name, elsewhere / name)
    shutil.copytree(tmp_path / "here" / "artifacts", elsewhere / "artifacts")
    done = without_torch(elsewhere)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == str(elsewhere / "report.html")
    for path, content in first.items():
        assert (elsewhere / path).read_bytes() == content, path
        assert str(tmp_path).encode() not in content, path


@pytest.mark.slow
def test_several_folders_are_read_as_one(tmp_path):
    for name in ("one", "two"):
        Made(tmp_path / name, [{"name": "a"}, {"name": f"only in {name}"}])
    done = without_torch(tmp_path / "one", tmp_path / "two")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "one" / "report.md").read_text(encoding="utf-8")
    assert "`only in one`" in text
    assert "`only in two`" in text
    assert not (tmp_path / "two" / "report.md").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere"], "unknown results folder 'nowhere'"),
        ([], "no results folder was named"),
        (["--frobnicate", "x"], "--frobnicate"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(tmp_path, arguments, sentence):
    done = without_torch(*(tmp_path / a if a == "nowhere" else a for a in arguments))
    assert done.returncode == 2
    assert done.stdout == ""
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_a_folder_that_cannot_be_written_is_said_so(tmp_path):
    pos_embed(tmp_path, seeds=1)
    (tmp_path / "figures").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written"):
        report.write(tmp_path)


def test_hostile_names_are_escaped_everywhere(tmp_path):
    made = Made(tmp_path, [{"name": HOSTILE}, {"name": "b", "reason": HOSTILE}], ablation=HOSTILE, question=HOSTILE)
    made.accuracy(HOSTILE, [0.5, 0.6], curves=False)
    made.fail("latency", HOSTILE, "failed", HOSTILE)
    files = written(tmp_path)
    assert files["report.html"].count(b"<script") == 1  # our own
    assert b"&lt;script&gt;" in files["report.html"]
    ours = rb"\]\((figures/|table\.csv|table\.tex|report\.html|records\.jsonl)"
    assert b"](" not in re.sub(ours, b"", files["report.md"]).replace(b"\\](", b"").replace(b"` ](", b"").replace(
        HOSTILE.replace("|", "\\|").encode(), b""
    )


def test_a_run_that_has_only_begun_is_reported(tmp_path):
    Made(tmp_path, [{"name": "a"}, {"name": "b"}])
    files = written(tmp_path)
    assert set(files) == {"table.csv", "table.tex", "report.md", "report.html"}
    assert b"Not finished: 0 of 12 accuracy trials are recorded" in files["report.md"]


def test_a_failed_control_is_said_first(tmp_path):
    pos_embed(tmp_path, control=1.1)
    text = written(tmp_path)["report.md"].decode()
    assert text.index("INVALID timing") < text.index("## Results")
    assert "A/A control**: FAILED" in text


def test_the_terminal_table(tmp_path):
    pos_embed(tmp_path)
    heads, rows = report.terminal_table(tmp_path)
    assert heads == ["Variant", "Test accuracy (%)", "Accuracy vs baseline", "Latency (ms)", "Latency vs baseline"]
    assert rows[0][:3] == ["pos_embed=learned", "97.4 [96.4, 98.3]", "baseline"]
    assert rows[1][2].startswith("worse by 31.3 points [")
    assert all(len(row) == len(heads) for row in rows)
