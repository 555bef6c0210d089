"""A disk that is full, or may not be written: one sentence, nothing lost, and once there is room it goes on."""

import itertools
import os
import subprocess
import textwrap
from collections import Counter

import numpy as np
import pytest

from vitbench.ablate import main
from vitbench.records.reader import read
from vitbench.records.record import Record
from vitbench.run import execute
from vitbench.run.executors.local.executor import LocalExecutor
from vitbench.run.store.writer import Writer
from vitbench.utils.errors import UserError

MODELS = """
import os
from pathlib import Path
from torch import nn


class Model(nn.Module):
    def __init__(self, num_classes, size=0):
        super().__init__()
        self.linear, self.size = nn.Linear(64, num_classes), size

    def forward(self, x):
        if self.size and len(x) > 8:
            with open(os.environ["VITBENCH_TEST_DISK"] + "/scratch", "wb") as file:
                file.write(bytes(self.size))
        return self.linear(x.flatten(1))


def good(num_classes):
    return Model(num_classes)


def writes(num_classes):
    return Model(num_classes, 200_000)
"""

TINY = '''"""Does depth help?"""
from vitbench import Ablation, MeasureConfig, TrainConfig, ViTConfig

ABLATION = Ablation(
    question="Does depth help?",
    baseline=ViTConfig(img_size=8, patch_size=4, in_chans=1, num_classes=10, embed_dim=16, depth=1, num_heads=2),
    axes={"depth": (1, 2)},
    train=TrainConfig(epochs=1),
    measure=MeasureConfig(blocks=2, cycles=1, warmup_s=0.1),
    seeds=2,
)
'''

KINDS = ("cost", "accuracy")


class Disk:
    """A file system in memory, of a megabyte."""

    def __init__(self, place):
        self.place, self._filler = place, place / "filler"

    def mount(self, *options):
        return subprocess.run(["mount", *options, self.place], capture_output=True, text=True, check=False)

    def fill(self, *, but=0):
        """Takes all room but so many bytes."""
        self.empty()
        found = os.statvfs(self.place)
        self._filler.write_bytes(bytes(max(0, found.f_bavail * found.f_frsize - but)))

    def empty(self):
        self._filler.unlink(missing_ok=True)


@pytest.fixture
def disk(tmp_path):
    found = Disk(tmp_path / "disk")
    found.place.mkdir()
    mounted = found.mount("-t", "tmpfs", "-o", "size=1m", "tmpfs")
    if mounted.returncode:
        pytest.skip(f"nothing can be mounted here: {mounted.stderr.strip()}")
    yield found
    subprocess.run(["umount", "--lazy", found.place], check=True)


@pytest.fixture(scope="module")
def executor(tmp_path_factory):
    place = tmp_path_factory.mktemp("models")
    (place / "rooms.py").write_text(textwrap.dedent(MODELS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VITBENCH_TEST_DISK", str(place / "link"))
        with LocalExecutor(import_path=place) as executor:
            executor.link = place / "link"
            yield executor


def lines(folder):
    path = folder / "records.jsonl"
    return path.read_bytes().splitlines(keepends=True) if path.exists() else []


@pytest.mark.nightly("kills")
def test_a_disk_that_fills_up_again_and_again_loses_nothing(disk, executor, sweep_of):
    ablation = sweep_of("good", module="rooms", seeds=6)
    run = {"name": "full", "directory": disk.place / "results", "executor": executor, "kinds": KINDS}
    kept, said = [], []
    for pages in itertools.count():
        disk.fill(but=4096 * pages)
        try:
            outcome = execute(ablation, **run)
        except UserError as error:
            said.append(str(error))
        now = lines(disk.place / "results")
        assert now[: len(kept)] == kept
        kept = now
        if len(said) <= pages:
            break
    assert len(said) > 4
    for sentence in said:
        assert "No space left on device" in sentence
        assert "recorded results are kept" in sentence
    records = read(disk.place / "results", pytest.fail)
    assert set(Counter(r.id for r in records).values()) == {1}
    assert Counter((r.kind, r.status) for r in records) == {("plan", "ok"): 1, ("cost", "ok"): 1, ("accuracy", "ok"): 6}
    assert outcome.left == outcome.failed == 0


@pytest.mark.slow
def test_a_full_disk_is_not_the_trials_failure(disk, executor, sweep_of):
    executor.link.symlink_to(disk.place)
    run = {"name": "full", "directory": disk.place / "results", "executor": executor, "kinds": KINDS}
    ablation = sweep_of("good", "writes", module="rooms", seeds=2)
    disk.fill(but=120_000)
    who = r"(source=rooms:writes seed 0: OSError: .*|cannot be written: )"  # whoever comes first to the last page
    with pytest.raises(UserError, match=who + r"No space left on device; .* make room"):
        execute(ablation, **run)
    records = read(disk.place / "results", pytest.fail)
    assert all(r.ok for r in records)
    disk.empty()
    assert execute(ablation, **run).failed == 0
    assert [r.status for r in read(disk.place / "results") if r.kind == "accuracy"] == ["ok"] * 4


@pytest.mark.slow
def test_a_folder_on_a_disk_that_may_not_be_written(disk, executor, sweep_of):
    run = {"name": "ro", "directory": disk.place / "results", "executor": executor, "kinds": ("cost",)}
    ablation = sweep_of("good", module="rooms", seeds=1)
    assert execute(ablation, **run).done == 1
    before = lines(disk.place / "results")
    assert disk.mount("-o", "remount,ro").returncode == 0
    for fresh, words in (
        (False, "cannot be written: Read-only file system"),
        (True, "cannot be moved aside: Read-only"),
    ):
        with pytest.raises(UserError, match=words):
            execute(ablation, fresh=fresh, **run)
    assert lines(disk.place / "results") == before
    assert disk.mount("-o", "remount,rw").returncode == 0
    assert execute(ablation, **run).reused == 1


def test_an_artifact_that_finds_no_room_leaves_nothing_behind(disk):
    arrays = {"x": np.random.default_rng(0).random(50_000)}
    with Writer(disk.place / "run", pytest.fail) as writer:
        writer.append(Record(id="a", ablation="x", kind="cost", variant="v"))
        disk.fill(but=100_000)
        with pytest.raises(UserError, match="cannot be written: No space left on device; recorded results are kept"):
            writer.save_arrays("big", arrays)
        assert list((disk.place / "run" / "artifacts").iterdir()) == []
        writer.append(Record(id="b", ablation="x", kind="cost", variant="v"))
        disk.empty()
        assert writer.save_arrays("big", arrays) == "big.npz"
    assert [r.id for r in read(disk.place / "run", pytest.fail)] == ["a", "b"]


@pytest.mark.nightly("kills")
def test_the_command_says_one_sentence_and_goes_on_when_there_is_room(disk, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.py").write_text(TINY)
    argv = ["./tiny.py", "--results", str(disk.place / "results"), "--budget", "1"]
    disk.fill(but=16_384)
    assert main(argv) == 2
    out, err = capsys.readouterr()
    (sentence,) = err.splitlines()
    assert sentence.startswith("vitbench: ")
    assert "No space left on device" in sentence
    assert "Traceback" not in out + err
    kept = lines(disk.place / "results")
    disk.empty()
    assert disk.mount("-o", "remount,size=20m").returncode == 0
    assert main(argv) == 0
    assert lines(disk.place / "results")[: len(kept)] == kept
