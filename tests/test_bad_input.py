"""Bad input, as a stranger would type it or leave it lying: one sentence each, nothing lost, no traceback."""

import json
import re
import shutil
import subprocess
import sys
import warnings

import pytest

from tests.support.made_records import pos_embed
from vitbench import ablate
from vitbench.declare.ablation import Ablation
from vitbench.declare.external import ExternalConfig
from vitbench.declare.train import TrainConfig
from vitbench.records.reader import load_arrays, read
from vitbench.records.record import Environment
from vitbench.report import write
from vitbench.report.__main__ import main as report
from vitbench.run import Observer, execute
from vitbench.run.store.writer import Writer
from vitbench.status import __main__ as status
from vitbench.utils.errors import UserError


def is_one_sentence(error, *words):
    (line,) = error.strip().splitlines()
    assert line.startswith("vitbench: ")
    assert all(word in line for word in words), line


# what is typed


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("ablate pos_embed --jobs 0", ["--jobs 0 is too few", "1 or more", "cores"]),
        ("ablate pos_embed --jobs 1.5", ["--jobs takes a whole number, not '1.5'"]),
        ("ablate pos_embed --seeds 0", ["--seeds 0 is too few", "1 or more"]),
        ("ablate pos_embed --budget 0", ["--budget 0 leaves no time", "above 0"]),
        ("ablate pos_embed --budget -5", ["--budget -5 leaves no time", "above 0"]),
        ("ablate pos_embed --budget nan", ["--budget nan leaves no time", "above 0"]),
        ("ablate pos_embed --budget soon", ["--budget takes a number, not 'soon'"]),
        ("ablate pos_embed --timeout 0", ["--timeout 0 leaves no time", "above 0"]),
        ("ablate pos_embed --executor nonsense", ["'nonsense'", "one of local, ray"]),
        ("ablate pos_embed --ray-address 10.0.0.1:6379", ["--ray-address 10.0.0.1:6379", "--executor ray"]),
        ("ablate pos_embed --design nonsense", ["unknown design 'nonsense'", "one_at_a_time, grid"]),
        ("status nowhere", ["nowhere"]),
        ("report nowhere", ["nowhere", "vitbench.ablate NAME makes one"]),
    ],
)
def test_a_request_that_cannot_be_met_is_a_sentence_and_status_2(tmp_path, command, words):
    argv = [sys.executable, "-m", *f"vitbench.{command}".split()]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    is_one_sentence(done.stderr, *words)
    assert list(tmp_path.iterdir()) == []


# what lies in a results folder


def line_replaced(number, change):
    def damage(path):
        lines = path.read_bytes().splitlines(keepends=True)
        lines[number - 1] = change(lines[number - 1])
        path.write_bytes(b"".join(lines))

    return damage


def newer(line):
    return json.dumps({**json.loads(line), "schema": 99}).encode() + b"\n"


def other_digit(line):
    return re.sub(rb'"seconds":', b'"seconds":1', line, count=1)


def folder_instead(path):
    path.unlink()
    path.mkdir()


def environments_in_a_folder(path):
    (path.parent / "environments.jsonl").unlink()
    (path.parent / "environments.jsonl").mkdir()


def environments_of_garbage(path):
    (path.parent / "environments.jsonl").write_bytes(b"garbage\n")


REFUSED = {
    "newer": (line_replaced(3, newer), ["records.jsonl, line 3 is of a newer vitbench (schema 99", "upgrade vitbench"]),
    "foreign": (line_replaced(2, lambda _: b"hello\n"), ["records.jsonl, line 2 is not valid JSON", "that line"]),
    "no record": (line_replaced(2, lambda _: b'{"a": 1}\n'), ["records.jsonl, line 2 is JSON, but no record"]),
    "digit": (line_replaced(4, other_digit), ["records.jsonl, line 4 is not what was written: its checksum"]),
    "binary": (lambda path: path.write_bytes(bytes(range(256)) * 9), ["records.jsonl, line 1 is not valid JSON"]),
    "UTF-16": (lambda p: p.write_bytes(p.read_text().encode("utf-16")), ["records.jsonl, line 1 is not valid JSON"]),
    "folder": (folder_instead, ["records.jsonl"]),
    "environments": (environments_of_garbage, ["environments.jsonl, line 1 describes no environment"]),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A results folder with its report."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    pos_embed(folder)
    write(folder)
    return folder


@pytest.fixture(params=REFUSED)
def damaged(request, whole, tmp_path):
    """A whole results folder with one damage, and the words that tell of it."""
    folder = shutil.copytree(whole, tmp_path / "run")
    damage, words = REFUSED[request.param]
    damage(folder / "records.jsonl")
    return request.param, folder, words


def content(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def test_a_malformed_folder_is_a_sentence_and_stays_as_it_is(damaged, warm, capsys):
    name, folder, words = damaged
    before = content(folder)
    for command, argv in ((ablate.main, ["pos_embed", "--results", str(folder)]), (report, [str(folder)])):
        assert command(argv) == 2
        out, error = capsys.readouterr()
        assert "Traceback" not in out
        is_one_sentence(error, *words)
    assert status.main([str(folder)]) == (0 if name == "environments" else 2)  # of these it reads nothing
    if name != "environments":
        is_one_sentence(capsys.readouterr().err, *words)
    assert report(["--verify", str(folder)]) == (2 if name == "folder" else 1)
    assert "Traceback" not in "".join(capsys.readouterr())
    assert content(folder) == before


def test_environments_that_cannot_be_written_are_a_sentence(whole, tmp_path):
    environments_in_a_folder(shutil.copytree(whole, tmp_path / "run") / "records.jsonl")
    with (
        Writer(tmp_path / "run") as writer,
        pytest.raises(UserError, match=r"environments.jsonl cannot be written: Is a"),
    ):
        writer.add_environment(Environment({"cores": 3}))


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-50])


def turned(path):
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 3] ^= 255
    path.write_bytes(raw)


@pytest.mark.parametrize("damage", [cut_short, turned, lambda path: path.write_bytes(b"garbage")])
def test_a_damaged_artifact_is_named_and_the_rest_is_reported(whole, tmp_path, damage, capsys):
    folder = shutil.copytree(whole, tmp_path / "run")
    path = min((folder / "artifacts").iterdir())
    damage(path)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert report([str(folder)]) == 0
    said = capsys.readouterr().err.splitlines()
    assert said
    assert all(re.fullmatch(rf"note: artifact {path.name} of .* cannot be read: it is damaged", line) for line in said)


# what a trial does

VANDALS = """
import os, shutil, sys
from pathlib import Path
from torch import nn

RESULTS = Path(__file__).parent / "results"


class Model(nn.Module):
    def __init__(self, num_classes, first):
        super().__init__()
        self.linear, self.first = nn.Linear(64, num_classes), first

    def forward(self, x):
        if x.device.type != "meta":
            self.first()
        return self.linear(x.flatten(1))


def good(num_classes):
    return Model(num_classes, lambda: None)

def empties(num_classes):
    return Model(num_classes, lambda: os.truncate(RESULTS / "records.jsonl", 0))

def removes(num_classes):
    return Model(num_classes, lambda: (RESULTS / "records.jsonl").unlink(missing_ok=True))

def logs(num_classes):
    return Model(num_classes, lambda: (RESULTS / "records.jsonl").open("a").write("loss 0.1\\n"))

def clears(num_classes):
    return Model(num_classes, lambda: shutil.rmtree(RESULTS, ignore_errors=True))

def shouts(num_classes):
    def shout():
        for stream in (1, 2):
            os.write(stream, b'\\xff\\x00\\x1b[2J{"schema": 1}\\r\\n' * 9)
    return Model(num_classes, shout)
"""
NAMES = ("good", "empties", "removes", "logs", "clears", "shouts")


@pytest.mark.slow
def test_trials_that_write_to_the_results_folder_and_print_garbage_lose_nothing(tmp_path):
    (tmp_path / "vandals.py").write_text(VANDALS)
    sources = tuple(f"vandals:{name}" for name in NAMES)
    ablation = Ablation(
        question="Who writes where?",
        baseline=ExternalConfig(sources[0], img_size=8, in_chans=1, num_classes=10),
        axes={"source": sources},
        train=TrainConfig(epochs=1),
        seeds=2,
    )
    told = []

    class Ears(Observer):
        def note(self, text):
            told.append(text)

    run = {"name": "vandals", "directory": tmp_path / "results", "kinds": ("cost", "accuracy"), "jobs": 1}
    outcome = execute(ablation, import_path=tmp_path, watch=Ears(), **run)
    assert (outcome.done, outcome.failed) == (3 * len(NAMES), 0)
    records = [r for r in read(tmp_path / "results", pytest.fail) if r.kind != "plan"]
    assert len({r.id for r in records}) == len(records) == 3 * len(NAMES)
    assert all(r.ok for r in records)
    assert any("was changed" in text for text in told)
    assert any("was removed" in text for text in told)
    last = [r for r in records if r.kind == "accuracy" and r.variant.endswith("shouts")]
    assert load_arrays(tmp_path / "results", last[-1].artifacts[0])["predictions"].shape == (360,)
