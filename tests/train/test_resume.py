"""A training that was stopped and goes on is the training that was not: the same numbers to the last digit."""

from __future__ import annotations

import dataclasses
import pickle
import random
import resource
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.support.examples import scaled
from vitbench.data import load
from vitbench.data.dataset import Dataset, Split, make_dataset
from vitbench.data.files import Files
from vitbench.data.stream import Stream
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.train import TrainConfig
from vitbench.declare.vit import ViTConfig
from vitbench.measure import accuracy
from vitbench.models import build
from vitbench.models.weights import save_weights
from vitbench.train import Diverged, TrainResult, batch_loader, checkpoint, train
from vitbench.train.checkpoint import TrainingCheckpoint

SIZE, IMAGES = 16, 60
VIT = ViTConfig(
    img_size=SIZE, patch_size=8, num_classes=3, embed_dim=16, depth=2, num_heads=2, drop_rate=0.1, attn_drop_rate=0.1,
    drop_path_rate=0.2,
)  # fmt: skip
RESNET = ResNetConfig(
    depth=None, layers=(1, 1), block="basic", width=4, stem="cifar", img_size=SIZE, num_classes=3
)  # fmt: skip
PLAIN = TrainConfig(epochs=2, batch_size=8)
PER_EPOCH = IMAGES // PLAIN.batch_size

RECIPES = {
    "plain": {},
    "moved": {"shift_px": 2, "precision": "bfloat16"},
    "augmented": {"crop": "resized", "rand_augment": 2, "erase": 0.5, "mixup": 0.8, "cutmix": 1.0},
    "averaged": {"ema": 0.9, "accumulate": 2, "layer_decay": 0.7, "epochs": 4},
    "sgd": {"optimizer": "sgd", "precision": "float16", "erase": 0.3},
    "adam": {"optimizer": "adam", "cutmix": 1.0, "clip_grad_norm": 0.0},
    "soft": {"distillation": "soft", "teacher": "given", "mixup": 0.5},
    "hard": {"distillation": "hard", "teacher": "given", "ema": 0.5},
}


class Stopped(Exception):  # noqa: N818
    """As a kill would: nothing is said to anybody."""


@dataclasses.dataclass
class StopsAfter(TrainingCheckpoint):
    """Leaves the state after so many steps and evaluations of this piece, and ends the training there."""

    step: int = 0

    def due(self) -> bool:
        self.step -= 1
        return self.step == 0

    def write(self, state) -> bool:
        assert super().write(state)
        raise Stopped


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> dict[str, Dataset]:
    """The same noise in memory and as files."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    labels = torch.arange(IMAGES) % 3
    paths = []
    for number in range(IMAGES):
        paths.append(str(folder / f"{number}.png"))
        Image.fromarray(rng.integers(0, 256, size=(SIZE, SIZE, 3), dtype=np.uint8)).save(paths[-1])
    stream = Stream(Files.of(paths), labels, SIZE)
    split = Split(stream.take(torch.arange(IMAGES)), labels)
    memory = make_dataset(
        name="noise", version="1", classes=("r", "g", "b"), train=split, val=split, test=split, shift=True, flip=True
    )
    return {"memory": memory, "files": dataclasses.replace(memory, train=stream, val=stream, test=stream)}


def teacher_of(config: TrainConfig):
    if config.teacher is None:
        return {}
    torch.manual_seed(7)
    return {"teacher": build(dataclasses.replace(VIT, depth=1))}


def in_pieces(model, config, data, folder, *stops, seed=0, of="a", **given) -> TrainResult:
    """Trained with a stop after so many steps and evaluations of each piece, chance disturbed in between."""
    path = Path(folder) / "a.pt"
    for step in stops:
        with pytest.raises(Stopped):
            train(model, config, data, seed=seed, checkpoint=StopsAfter(path, of, step=step), **given)
        torch.manual_seed(step)
        np.random.seed(step)  # noqa: NPY002
        random.seed(step)
    last = TrainingCheckpoint(path, of)
    found = train(model, config, data, seed=seed, checkpoint=last, **given)
    assert last.record_fields() == {"resumed": len(stops)}
    return found


def assert_same(found: TrainResult, expected: TrainResult) -> None:
    for name, value in expected.model.state_dict().items():
        assert torch.equal(value, found.model.state_dict()[name]), name
    assert (found.logits == expected.logits).all()
    assert (found.predictions == expected.predictions).all()
    ours, theirs = (
        [dataclasses.astuple(dataclasses.replace(e, seconds=0.0, wait_s=0.0)) for e in result.curve]
        for result in (found, expected)
    )
    assert repr(ours) == repr(theirs)  # not a number is like itself
    assert found.steps == expected.steps


@pytest.mark.parametrize("model", [VIT, RESNET], ids=["vit", "resnet"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_stopped_training_goes_on_to_the_same_numbers(both, tmp_path, model, recipe):
    """Stopped within the first epoch, at its last step, after its evaluation, and after the first step of the last."""
    config = dataclasses.replace(PLAIN, **RECIPES[recipe])
    given = teacher_of(config)
    per_epoch = IMAGES // (config.batch_size * config.accumulate)
    expected = train(model, config, both["memory"], seed=3, **given)
    stops = (2, per_epoch - 2, 1, (per_epoch + 1) * (config.epochs - 2) + 1)
    found = in_pieces(model, config, both["memory"], tmp_path, *stops, seed=3, **given)
    assert_same(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["plain", "moved", "augmented"])
def test_a_training_from_files_goes_on_to_the_same_numbers(both, tmp_path, recipe):
    config = dataclasses.replace(PLAIN, **RECIPES[recipe])
    expected = train(VIT, config, both["files"], seed=1)
    found = in_pieces(VIT, config, both["files"], tmp_path, 3, 4, 5, seed=1)
    assert_same(found, expected)


KNOBS = st.fixed_dictionaries(
    {
        "shift_px": st.sampled_from([0, 1]),
        "rand_augment": st.sampled_from([0, 1]),
        "erase": st.sampled_from([0.0, 0.5]),
        "mixup": st.sampled_from([0.0, 0.4]),
        "cutmix": st.sampled_from([0.0, 1.0]),
        "ema": st.sampled_from([0.0, 0.8]),
        "accumulate": st.sampled_from([1, 3]),
        "layer_decay": st.sampled_from([1.0, 0.8]),
        "optimizer": st.sampled_from(["adamw", "adam", "sgd"]),
        "precision": st.sampled_from(["auto", "bfloat16"]),
        "label_smoothing": st.sampled_from([0.0, 0.1]),
        "batch_size": st.integers(5, 20),
        "epochs": st.integers(1, 3),
    }
)


@pytest.mark.slow
@settings(max_examples=scaled(8), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), knobs=KNOBS, at_once=st.sampled_from([1, 25, 8192]))
def test_any_recipe_may_stop_after_any_step_or_evaluation(both, tmp_path, data, knobs, at_once):
    """However many images are augmented in one go: the part of an epoch that was under way is made again whole."""
    config = TrainConfig(**knobs)
    steps = config.epochs * (IMAGES // min(config.batch_size * config.accumulate, IMAGES))
    stop = data.draw(st.integers(1, steps + config.epochs))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch_loader, "AUGMENT_AT_ONCE", at_once)
        expected = train(VIT, config, both["memory"], seed=0)
        found = in_pieces(VIT, config, both["memory"], tmp_path, stop)
    assert_same(found, expected)
    (tmp_path / "a.pt").unlink()


def test_what_a_checkpoint_starts_from_is_looked_at_once(both, tmp_path):
    save_weights(build(VIT), tmp_path / "start.safetensors")
    config = dataclasses.replace(PLAIN, init_from=str(tmp_path / "start.safetensors"))
    expected = train(VIT, config, both["memory"], seed=0)
    heard = []
    found = in_pieces(VIT, config, both["memory"], tmp_path, PER_EPOCH + 2, on_epoch=heard.append)
    assert_same(found, expected)
    assert [point.epoch for point in heard] == [0, 1, 2]  # the first two by the piece that was stopped
    assert str(found.loaded) == str(expected.loaded)


class Absent(torch.nn.Module):
    """A model that has what a state dict leaves out, and draws from every generator of the process."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(3 * SIZE * SIZE, 3)
        self.register_buffer("calls", torch.zeros(()), persistent=False)

    def forward(self, x):
        if self.training:
            self.calls += 1
            x = x * (self.calls + random.random() + np.random.random() + torch.rand(()))  # noqa: NPY002
        return self.linear(x.flatten(1))


def test_buffers_without_a_place_in_the_state_dict_and_every_generator_go_on(both, tmp_path, monkeypatch):
    monkeypatch.setattr("vitbench.train.loop.build", lambda config: Absent())

    def seeded():
        np.random.seed(5)  # noqa: NPY002
        random.seed(5)

    seeded()
    expected = train(VIT, PLAIN, both["memory"], seed=0)
    seeded()
    found = in_pieces(VIT, PLAIN, both["memory"], tmp_path, 5)
    assert_same(found, expected)
    assert found.model.calls == 2 * PER_EPOCH


def test_a_loss_that_is_no_number_is_found_at_the_same_step(both, tmp_path):
    config = dataclasses.replace(PLAIN, lr=1e30, clip_grad_norm=0.0, warmup_fraction=0.0)
    with pytest.raises(Diverged) as expected:
        train(VIT, config, both["memory"], seed=0)
    with pytest.raises(Diverged) as found:
        in_pieces(VIT, config, both["memory"], tmp_path, PER_EPOCH - 1)
    assert str(found.value) == str(expected.value)


def test_seconds_add_up_over_the_pieces(both, tmp_path, monkeypatch):
    """Every step waits 20 ms for its data: so do all of them together, whichever piece they fell into."""
    original = batch_loader.BatchLoader._epoch

    def delayed(self):
        for batch in original(self):
            time.sleep(0.02)
            yield batch

    monkeypatch.setattr(batch_loader.BatchLoader, "_epoch", delayed)
    path, heard = tmp_path / "a.pt", time.monotonic()
    with pytest.raises(Stopped):
        accuracy.measure(VIT, PLAIN, both["memory"], seed=0, checkpoint=StopsAfter(path, "a", step=PER_EPOCH + 3))
    lost = time.monotonic()
    time.sleep(0.5)
    lost = time.monotonic() - lost
    found = accuracy.measure(VIT, PLAIN, both["memory"], seed=0, checkpoint=TrainingCheckpoint(path, "a"))
    took = time.monotonic() - heard - lost
    values = found.values
    waited = values["wait_share"] * values["train_seconds"]
    assert 2 * PER_EPOCH * 0.02 <= waited <= values["train_seconds"] < values["total_seconds"] <= took
    assert values["resumed"] == 1
    assert values["epochs"] == 2
    assert found.arrays["epoch"].tolist() == [1, 2]
    assert (np.diff(found.arrays["seconds"]) > 0).all()
    whole = accuracy.measure(VIT, PLAIN, both["memory"], seed=0)
    assert "resumed" not in whole.values
    timed = {"train_seconds", "total_seconds", "wait_share", "resumed"}
    assert {k: v for k, v in values.items() if k not in timed} == {
        k: v for k, v in whole.values.items() if k not in timed
    }


# Which files are used


def left(both, folder, of="a", model=VIT) -> Path:
    with pytest.raises(Stopped):
        train(model, PLAIN, both["memory"], seed=0, checkpoint=StopsAfter(folder / "a.pt", of, step=3))
    return folder / "a.pt"


def assert_starts_over(both, path, why):
    again = TrainingCheckpoint(path, "a")
    assert_same(train(VIT, PLAIN, both["memory"], seed=0, checkpoint=again), train(VIT, PLAIN, both["memory"], seed=0))
    assert again.record_fields() == {"started_over": f"a.pt {why}: the training started over"}


def test_another_training_does_not_take_it(both, tmp_path):
    path = left(both, tmp_path, of="b")
    assert_starts_over(both, path, "has id b, and this training a")


@pytest.mark.parametrize(("name", "attribute"), [("torch", "__version__"), ("format", "FORMAT")])
def test_another_version_does_not_take_it(both, tmp_path, monkeypatch, name, attribute):
    with monkeypatch.context() as earlier:
        earlier.setattr(torch if name == "torch" else checkpoint, attribute, "0.9")
        path = left(both, tmp_path)
    now = torch.__version__ if name == "torch" else checkpoint.FORMAT
    assert_starts_over(both, path, f"has {name} 0.9, and this training {now}")


def test_a_model_that_is_made_otherwise_does_not_take_it(both, tmp_path):
    path = left(both, tmp_path, model=dataclasses.replace(VIT, embed_dim=32))
    assert_starts_over(both, path, "does not fit this model (RuntimeError)")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_torn_or_altered_file_is_never_used(both, tmp_path, data):
    """Cut anywhere, or one byte changed in the tensors: torch alone would load the latter."""
    whole = tmp_path / "whole.pt"
    if not whole.exists():
        left(both, tmp_path).rename(whole)
    content = bytearray(whole.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        with zipfile.ZipFile(whole) as archive:
            inner = data.draw(st.sampled_from([i for i in archive.infolist() if i.file_size]))
        start = content.index(inner.filename.encode(), inner.header_offset)
        start += len(inner.filename) + int.from_bytes(content[start - 2 : start], "little")
        content[start + data.draw(st.integers(0, inner.file_size - 1))] ^= 1 << data.draw(st.integers(0, 7))
    (tmp_path / "a.pt").write_bytes(content)
    again = TrainingCheckpoint(tmp_path / "a.pt", "a")
    assert again.read() is None
    assert "is damaged" in again.record_fields()["started_over"]


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_file_never_runs_code(both, tmp_path):
    path = tmp_path / "a.pt"
    bomb = {"about": TrainingCheckpoint(path, "a")._about(), "state": Bomb(tmp_path / "ran")}
    torch.save(bomb, path)
    pickle.loads(pickle.dumps(bomb))
    assert (tmp_path / "ran").exists()  # it does, where it is let
    (tmp_path / "ran").unlink()
    assert_starts_over(both, path, "is damaged (UnpicklingError)")
    assert not (tmp_path / "ran").exists()
    torch.save([1, 2], path)
    assert_starts_over(both, path, "is not a training checkpoint")


# When one is written


def test_a_training_shorter_than_the_interval_writes_nothing(both, tmp_path):
    train(VIT, PLAIN, both["memory"], seed=0, checkpoint=TrainingCheckpoint(tmp_path / "a.pt", "a"))
    assert list(tmp_path.iterdir()) == []


def test_one_is_written_when_it_is_due_and_in_the_place_of_the_one_before(both, tmp_path):
    own = TrainingCheckpoint(tmp_path / "a.pt", "a", every_s=0.0)
    train(VIT, PLAIN, both["memory"], seed=0, checkpoint=own)
    assert [file.name for file in tmp_path.iterdir()] == ["a.pt"]
    state = TrainingCheckpoint(tmp_path / "a.pt", "a").read()
    assert (state["epoch"], len(state["losses"]), len(state["curve"])) == (3, 0, 2)  # the test is all that is left


def test_slow_writing_is_rare_writing(both, tmp_path, monkeypatch):
    """A write that takes a third more than a hundredth of a minute makes the interval a third longer."""
    now = 7.0

    def takes(seconds):
        nonlocal now
        now += seconds

    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now)
    own = TrainingCheckpoint(tmp_path / "a.pt", "a", every_s=100.0)
    assert own._due == now + 100
    monkeypatch.setattr(checkpoint.os, "fsync", lambda fd: takes(0.1))  # of the file and of its folder
    assert own.write({})
    assert own._due == pytest.approx(now + 100)
    monkeypatch.setattr(checkpoint.os, "fsync", lambda fd: takes(0.4))
    assert own.write({})
    assert own._due >= now + 100 * 0.8 / 0.6


def test_a_folder_that_is_not_there_is_not_made(both, tmp_path):
    own = TrainingCheckpoint(tmp_path / "elsewhere" / "a.pt", "a", every_s=0.0)
    train(VIT, dataclasses.replace(PLAIN, epochs=1), both["memory"], seed=0, checkpoint=own)
    assert list(tmp_path.iterdir()) == []
    assert own.record_fields() == {}


@pytest.fixture
def small_files():
    """No file of this process may grow beyond 16 KiB, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**14, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_ends_no_training_and_leaves_the_one_before(both, tmp_path, small_files, capsys):
    own = TrainingCheckpoint(tmp_path / "a.pt", "a")
    assert own.write({"small": 1})
    before = own.path.read_bytes()
    assert not own.write({"large": torch.zeros(10_000)})
    assert own.path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.pt"]
    assert "could not be written" in capsys.readouterr().err


def test_it_leaves_room_for_the_records(both, tmp_path, monkeypatch):
    own = TrainingCheckpoint(tmp_path / "a.pt", "a")
    monkeypatch.setattr(checkpoint, "FREE_FACTOR", 2**40)  # as if the disk held that much less
    assert not own.write({"nested": [{"tensor": torch.zeros(1000)}]})
    assert own.write({"nothing": 1})


@pytest.mark.slow
def test_digits_trains_on_under_real_time(tmp_path):
    """Every 50 ms, on data that is there, stopped by the clock alone."""
    data = load("digits")
    vit = dataclasses.replace(VIT, img_size=8, patch_size=4, in_chans=1, num_classes=10)
    expected = train(vit, TrainConfig(epochs=3), data, seed=0)
    pieces = 0
    while True:
        own, end = TrainingCheckpoint(tmp_path / "a.pt", "a", every_s=0.05), time.monotonic() + 0.3

        def late(point, end=end):
            if time.monotonic() > end:
                raise Stopped

        try:
            found = train(vit, TrainConfig(epochs=3), data, seed=0, checkpoint=own, on_epoch=late)
        except Stopped:
            pieces += 1
            assert pieces < 20
            continue
        break
    assert_same(found, expected)
    assert own.resumed == pieces
