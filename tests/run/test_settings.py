"""Measurement settings as axes: applied, timed in one session, recorded; what cannot be compiled says why."""

from __future__ import annotations

from vitbench.ablation import Ablation
from vitbench.config import MeasureConfig, TrainConfig, ViTConfig
from vitbench.records import read
from vitbench.run import execute
from vitbench.run.kinds import _source_version
from vitbench.run.local import LocalExecutor

TINY = ViTConfig(img_size=8, patch_size=4, in_chans=1, num_classes=10, embed_dim=32, depth=2, num_heads=2)
KINDS = ("memory", "latency", "train_step")


def ablation(**axes):
    return Ablation(
        question="What does the setting cost?",
        baseline=TINY,
        axes={name.replace("__", "."): values for name, values in axes.items()},
        train=TrainConfig(epochs=1),
        measure=MeasureConfig(blocks=2, cycles=1, warmup_s=0.0),
    )


def run(declared, folder, executor, kinds=KINDS):
    outcome = execute(declared, name="s", directory=folder / "r", executor=executor, kinds=kinds)
    return outcome, {(r.kind, r.variant): r for r in read(folder / "r")}


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


def test_a_librarys_models_change_with_its_version(monkeypatch):
    versions = {"timm": "1.0.31"}
    monkeypatch.setattr("importlib.metadata.version", versions.__getitem__)
    assert _source_version("timm:convnext_tiny") == "1.0.31"


def test_a_source_that_is_not_there_has_no_version():
    assert _source_version("no_such_module:f") is None
