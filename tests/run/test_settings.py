"""Measurement settings as axes: applied, timed in one session, recorded; what cannot be compiled says why."""

from __future__ import annotations

import pytest

from vitbench.declare.ablation import Ablation
from vitbench.declare.measure import MeasureConfig
from vitbench.declare.train import TrainConfig
from vitbench.declare.vit import ViTConfig
from vitbench.records.reader import read
from vitbench.run import execute
from vitbench.run.executors.local.executor import LocalExecutor
from vitbench.run.preflight import source_version
from vitbench.utils.errors import UserError

TINY = ViTConfig(img_size=8, patch_size=4, in_chans=1, num_classes=10, embed_dim=32, depth=2, num_heads=2)
KINDS = ("memory", "latency", "train_step")


def ablation(**axes):
    return Ablation(
        question="What does the setting cost?",
        baseline=TINY,
        axes={name.replace("__", "."): values for name, values in axes.items()},
        train=TrainConfig(epochs=1),
        measure=MeasureConfig(blocks=2, cycles=1, warmup_s=0.0),
        seeds=1,
    )


def run(declared, folder, executor, kinds=KINDS):
    outcome = execute(declared, name="s", directory=folder / "r", executor=executor, kinds=kinds)
    return outcome, {(r.kind, r.variant): r for r in read(folder / "r")}


@pytest.mark.slow
def test_settings_are_axes_of_one_session(tmp_path, shared):
    declared = ablation(measure__channels_last=(False, True), measure__checkpoint_activations=(False, True))
    outcome, records = run(declared, tmp_path, shared)
    assert outcome.failed == 0
    nhwc, checkpointed = "measure.channels_last=True", "measure.checkpoint_activations=True"
    for kind in ("latency", "train_step"):
        sessions = {records[kind, name].session for name in ("baseline", nhwc, checkpointed)}
        assert len(sessions) == 1
        assert records[kind, nhwc].settings["channels_last"] is True
        assert records[kind, "baseline"].settings["compile"] is False
    plain, less = (records["memory", name].values for name in ("baseline", checkpointed))
    assert less["training"]["activations"] < plain["training"]["activations"]
    assert less["inference"] == plain["inference"]
    assert records["memory", checkpointed].settings["checkpoint_activations"] is True


@pytest.mark.slow
def test_what_cannot_be_compiled_is_a_failed_record(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with LocalExecutor() as executor:
        outcome, records = run(ablation(measure__compile=(False, True)), tmp_path, executor, ("latency", "train_step"))
    assert outcome.failed == 2
    for kind in ("latency", "train_step"):
        assert records[kind, "measure.compile=False"].ok
        failed = records[kind, "measure.compile=True"]
        assert failed.status == "failed"
        assert "needs a C++ compiler" in failed.reason


def test_the_version_of_a_library_is_that_of_its_models(monkeypatch):
    versions = {"timm": "1.0.31"}
    monkeypatch.setattr("importlib.metadata.version", versions.__getitem__)
    assert source_version("timm:convnext_tiny") == "1.0.31"


def test_the_version_of_a_checkpoint_is_its_digest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pth").write_bytes(b"one")
    one = source_version("a.pth")
    assert source_version("resnet18:a.pth") == one  # a model of the zoo, and its file
    (tmp_path / "a.pth").write_bytes(b"other")
    assert source_version("a.pth") != one
    for gone in ("b.pth", "resnet18:b.pth"):
        with pytest.raises(UserError, match=f"no checkpoint {gone}"):
            source_version(gone)


def test_a_missing_source_has_no_version():
    assert source_version("no_such_module:f") is None


def test_variants_that_share_a_measurement_get_its_record(tmp_path, shared):
    kinds = ("cost", "latency", "accuracy")
    outcome, records = run(ablation(train__lr=(0.002, 0.1), depth=(2, 1)), tmp_path, shared, kinds)
    assert (outcome.done, outcome.failed) == (2 + 1 + 3, 0)
    one, other = (records["latency", name] for name in ("baseline", "train.lr=0.1"))
    assert (one.id, one.samples, one.session) == (other.id, other.samples, other.session)
    assert records["latency", "depth=1"].samples != one.samples
    assert {r.settings["session_size"] for (kind, _), r in records.items() if kind.startswith("latency")} == {4}
    assert records["accuracy", "train.lr=0.1"].id != records["accuracy", "baseline"].id

    wider = ablation(train__lr=(0.002, 0.1, 0.2), depth=(2, 1))
    outcome, records = run(wider, tmp_path, shared, kinds)
    assert outcome.done == 1
    late = records["latency", "train.lr=0.2"]
    assert (late.id, late.samples, late.axes) == (one.id, one.samples, {"train.lr": 0.2, "depth": 2})
    assert late.settings["session_size"] == 1  # it was written alone, and is whole
    assert run(wider, tmp_path, shared, kinds)[0].done == 0
