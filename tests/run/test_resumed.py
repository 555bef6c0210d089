"""Trainings that are killed while they run, and go on from what they left: real processes, real kills."""

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vitbench import load
from vitbench.declare.ablation import Ablation
from vitbench.declare.measure import MeasureConfig
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.train import TrainConfig
from vitbench.declare.tuning import Tuning
from vitbench.declare.vit import ViTConfig
from vitbench.records.reader import load_arrays, read
from vitbench.run import Observer, execute, plan
from vitbench.run.store.checkpoints import CHECKPOINTS, Checkpoints
from vitbench.run.sweep import job_of
from vitbench.train.checkpoint import TrainingCheckpoint

TINY = ViTConfig(
    img_size=8, patch_size=4, in_chans=1, num_classes=10, embed_dim=16, depth=2, num_heads=2, drop_rate=0.1,
    drop_path_rate=0.1,
)  # fmt: skip
CNN = ResNetConfig(depth=None, layers=(1,), block="basic", width=4)
TIMED = {"train_seconds", "total_seconds", "wait_share", "resumed"}
MIXED = {"train.mixup": 0.8, "train.cutmix": 1.0, "train.ema": 0.99, "train.accumulate": 2, "train.layer_decay": 0.8}
TRAINED = ("accuracy", "tuning")


def ablation(**changes):
    return Ablation(
        **{
            "question": "?",
            "baseline": TINY,
            "combined": {"mixed": MIXED, "few": {"data.per_class": 20, "data.same_steps": True}},
            "references": {"cnn": CNN},
            "train": TrainConfig(epochs=4),
            "measure": MeasureConfig(blocks=2, cycles=1, warmup_s=0.0),
            "seeds": 1,
            **changes,
        }
    )


def trials_of(declared, executor):
    return {t.label: t for t in plan(declared, name="t", executor=executor, kinds=TRAINED).trials}


def whole(trial, executor):
    """What the trial gives in one piece."""
    executor.submit(job_of(trial, None))
    return finished(executor)


def finished(executor):
    while not (ended := executor.wait()):
        pass
    ((_, result),) = ended
    assert result.status == "ok", (result.reason, result.traceback)
    (measured,) = result.value
    return measured


def in_pieces(trial, executor, folder, kills, seed):
    """The trial, killed at a random moment after each of its first checkpoints."""
    dice, path = random.Random(seed), folder / f"{trial.only_id}.pt"
    trial = dataclasses.replace(trial, checkpoint=path, checkpoint_every_s=0.01)
    done = 0
    for _ in range(kills):
        before = stamp(path)
        executor.submit(job_of(trial, None))
        while stamp(path) == before and not (ended := executor.wait(timeout=0.002)):
            pass
        if not ended and not (ended := executor.wait(timeout=dice.uniform(0, 0.05))):
            executor.cancel()
            done += 1
            continue
        ((_, result),) = ended
        return result.value[0], done
    executor.submit(job_of(trial, None))
    return finished(executor), done


def stamp(path: Path):
    return path.stat().st_mtime_ns if path.exists() else None


def assert_same(found, expected):
    def values(measured):
        return {k: v for k, v in measured.values.items() if k not in TIMED}

    assert values(found) == values(expected)
    assert found.samples == expected.samples
    assert found.arrays.keys() == expected.arrays.keys()
    for name, array in expected.arrays.items():
        if name != "seconds":
            np.testing.assert_array_equal(found.arrays[name], array, err_msg=name)


@pytest.mark.parametrize(
    "row", ["mixed", "cnn", *(pytest.param(row, marks=pytest.mark.nightly("kills")) for row in ("baseline", "few"))]
)
def test_a_training_killed_at_random_moments_gives_the_same_record(tmp_path, shared, row):
    trial = trials_of(ablation(), shared)[f"accuracy {row} seed 0"]
    expected = whole(trial, shared)
    found, kills = in_pieces(trial, shared, tmp_path, 3, seed=row)
    assert kills >= 2
    assert found.values["resumed"] == kills
    assert_same(found, expected)
    assert (np.diff(found.arrays["seconds"]) > 0).all()
    assert found.values["train_seconds"] == found.arrays["seconds"][-1] < found.values["total_seconds"]


@pytest.mark.slow
def test_a_tuning_try_goes_on_too(tmp_path, shared):
    declared = ablation(tuning=Tuning(tries=2))
    trial = next(t for t in trials_of(declared, shared).values() if (t.kind, t.number) == ("tuning", 1))
    expected = whole(trial, shared)
    found, kills = in_pieces(trial, shared, tmp_path, 2, seed=0)
    assert found.values["resumed"] == kills > 0
    assert_same(found, expected)


def test_a_training_from_files_goes_on_where_it_was_in_the_epoch(tmp_path, shared):
    rng = np.random.default_rng(0)
    for split, count in (("train", 90), ("val", 12), ("test", 12)):
        for number in range(count):
            place = tmp_path / "data" / split / "ab"[number % 2]
            place.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 256, size=(40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(place / f"{number}.png")
    vit = dataclasses.replace(TINY, img_size=32, patch_size=16, in_chans=3, num_classes=2)
    recipe = TrainConfig(epochs=3, batch_size=4, crop="resized", rand_augment=2, erase=0.5)
    declared = ablation(baseline=vit, data=f"folder:{tmp_path / 'data'}@32", combined={}, references={}, train=recipe)
    (trial,) = trials_of(declared, shared).values()
    (tmp_path / CHECKPOINTS).mkdir()
    expected = whole(trial, shared)
    found, kills = in_pieces(trial, shared, tmp_path / CHECKPOINTS, 4, seed=3)
    assert found.values["resumed"] == kills > 0
    assert_same(found, expected)


# Through a sweep


@pytest.fixture
def often(monkeypatch):
    monkeypatch.setattr(Checkpoints, "every_s", 0.01)


class Notes(Observer):
    def __init__(self):
        self.texts, self.ended = [], []

    def note(self, text):
        self.texts.append(text)

    def finished(self, trial, records):
        self.ended.append(trial.only_id)


def run(declared, folder, executor, **given):
    watch = Notes()
    outcome = execute(declared, name="t", directory=folder, executor=executor, kinds=TRAINED, watch=watch, **given)
    return outcome, {r.variant: r for r in read(folder) if r.kind == "accuracy"}, watch


@pytest.mark.slow
def test_a_trial_that_ran_out_of_time_goes_on_with_more_of_it(tmp_path, shared, often):
    declared = ablation(combined={}, references={}, train=TrainConfig(epochs=100_000))
    epochs = []
    for timeout_s in (1.5, 2.5):
        outcome, rows, _ = run(declared, tmp_path / "r", shared, timeout_s=timeout_s)
        (record,) = rows.values()
        assert (outcome.failed, record.status) == (1, "timeout")
        (left,) = (tmp_path / "r" / CHECKPOINTS).iterdir()
        assert left.name == f"{record.id}.pt"
        piece = TrainingCheckpoint(left, record.id)
        epochs.append(piece.read()["epoch"])
    assert piece.resumed == 2  # it would be the second time
    assert epochs[0] < epochs[1]


def test_a_sweep_leaves_no_checkpoints_and_clears_away_what_a_killed_one_left(tmp_path, shared, often):
    declared, folder = ablation(combined={}, train=TrainConfig(epochs=1)), tmp_path / "r"
    _, rows, _ = run(declared, folder, shared)
    assert not (folder / CHECKPOINTS).exists()
    (folder / CHECKPOINTS).mkdir()
    names = [f"{rows['cnn'].id}.pt", "0123456789abcdef.host-1.part", "0123456789abcdef.pt"]
    for name in names:
        (folder / CHECKPOINTS / name).write_bytes(b"?")
    run(declared, folder, shared)
    assert [file.name for file in (folder / CHECKPOINTS).iterdir()] == names[2:]  # some day it may be wanted


def test_a_checkpoint_of_no_use_is_told_of(tmp_path, shared):
    declared, folder = ablation(combined={}, references={}, train=TrainConfig(epochs=1)), tmp_path / "r"
    (trial,) = trials_of(declared, shared).values()
    (folder / CHECKPOINTS).mkdir(parents=True)
    (folder / CHECKPOINTS / f"{trial.only_id}.pt").write_bytes(b"no zip file")
    outcome, rows, watch = run(declared, folder, shared)
    why = f"{trial.only_id}.pt is damaged (BadZipFile): the training started over"
    assert watch.texts == [f"accuracy vit_p4_d16_l2 seed 0: {why}"]
    assert (outcome.done, rows["vit_p4_d16_l2"].values["started_over"]) == (1, why)


def test_where_no_folder_can_be_made_trainings_run_without(tmp_path, shared, often):
    declared, folder = ablation(combined={}, references={}, train=TrainConfig(epochs=1)), tmp_path / "r"
    folder.mkdir()
    (folder / CHECKPOINTS).write_text("a file is in the way")
    assert run(declared, folder, shared)[0].done == 1


DRIVER = """
import pathlib, sys
from vitbench.run import execute
from vitbench.run.store.checkpoints import Checkpoints
Checkpoints.every_s = 0.05
import study
execute(study.declared(), name="t", directory=pathlib.Path(sys.argv[1]), kinds=study.TRAINED, jobs=2)
"""


def study():
    """All kinds of needs: a row that is taught by another, and one that goes on where that ended."""
    rows = {
        "taught": {"train.distillation": "soft", "train.teacher": "variant:cnn"},
        "later": {"train.init_from": "variant:taught", "train.ema": 0.9},
        "few": {"data.per_class": 20, "data.same_steps": True},
    }
    return ablation(combined=rows, train=TrainConfig(epochs=8))


@pytest.mark.nightly("kills")
def test_a_sweep_killed_with_kill_9_at_random_moments_gives_the_same_records(tmp_path, shared):
    outcome, _, _ = run(study(), tmp_path / "whole", shared)
    assert (outcome.failed, outcome.left) == (0, 0)
    (tmp_path / "study.py").write_text(
        f"import sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_resumed import TRAINED, study as declared\n"
    )
    (tmp_path / "driver.py").write_text(textwrap.dedent(DRIVER))
    command = [sys.executable, str(tmp_path / "driver.py"), str(tmp_path / "r")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), str(tmp_path)])}
    dice, kills, done = random.Random(0), 0, {}
    while True:
        driver = subprocess.Popen(command, env=environment, start_new_session=True)
        if kills < 3:
            before = stamps(tmp_path / "r")
            while driver.poll() is None and stamps(tmp_path / "r") == before:
                time.sleep(0.01)
            time.sleep(dice.uniform(0.0, 0.6))
        else:
            driver.wait(timeout=200)
        if driver.poll() is not None:
            break
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
        kills += 1
        recorded = [r.id for r in read(tmp_path / "r") if r.kind in TRAINED]
        assert set(done) <= set(recorded)
        done = dict.fromkeys(recorded)
    assert driver.returncode == 0
    assert kills >= 2
    ours, theirs = (
        {(r.kind, r.variant, json.dumps(r.settings, sort_keys=True)): r for r in read(tmp_path / name)}
        for name in ("r", "whole")
    )
    ours, theirs = ({k: r for k, r in rows.items() if k[0] in TRAINED} for rows in (ours, theirs))
    assert ours.keys() == theirs.keys()
    for key, record in theirs.items():
        found = ours[key]
        assert (found.id, found.status, found.samples) == (record.id, record.status, record.samples)
        assert {k: v for k, v in found.values.items() if k not in TIMED} == {
            k: v for k, v in record.values.items() if k not in TIMED
        }
        for name in record.artifacts:
            arrays, whole_ones = load_arrays(tmp_path / "r", name), load_arrays(tmp_path / "whole", name)
            for array in set(whole_ones) - {"seconds"}:
                np.testing.assert_array_equal(arrays[array], whole_ones[array], err_msg=array)
    assert sum(r.values.get("resumed", 0) for r in ours.values()) >= 1
    assert load(tmp_path / "r")["accuracy"].tolist() == load(tmp_path / "whole")["accuracy"].tolist()
    assert not (tmp_path / "r" / CHECKPOINTS).exists()


def stamps(folder):
    return {file: stamp(file) for file in (folder / CHECKPOINTS).glob("*.pt")}
