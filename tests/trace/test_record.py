"""Recorded steps and their summary: against the step's own time, closed forms, and models with planted costs."""

import json

import pytest

from vitbench.declare.external import ExternalConfig
from vitbench.declare.measure import MeasureConfig
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.vit import ViTConfig
from vitbench.measure import memory
from vitbench.measure.counts.closed_form import closed_form
from vitbench.trace.attribution import PYTHON
from vitbench.trace.record import record
from vitbench.trace.summary import memory_of, summarize
from vitbench.utils.errors import UserError

BATCH, STEPS, MIB = 3, 2, 2**20
SETTINGS = MeasureConfig(batch_size=BATCH)
MODELS = {
    "vit": ViTConfig(img_size=8, patch_size=2, in_chans=1, num_classes=10, embed_dim=32, depth=3, num_heads=2),
    "resnet": ResNetConfig(
        depth=None, layers=(1, 2), block="bottleneck", width=8, img_size=16, in_chans=1, num_classes=10
    ),
}
MODES = ("forward", "train_step")
CASES = pytest.mark.parametrize(("name", "mode"), [(name, mode) for name in MODELS for mode in MODES])


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    """Each model in each mode, recorded once: summary and folder."""
    found = {}

    def of(name, mode):
        if (name, mode) not in found:
            folder = tmp_path_factory.mktemp("traces") / name
            recording = record(name, MODELS[name], SETTINGS, folder=folder, mode=mode, steps=STEPS)
            found[name, mode] = summarize(recording), folder
        return found[name, mode]

    return of


def planted(nets, folder, *, mode="forward", **kwargs):
    """The summary of a step with planted costs."""
    config = ExternalConfig(f"{nets}:build", kwargs=kwargs, img_size=8, num_classes=3)
    return summarize(record("planted", config, MeasureConfig(batch_size=2), folder=folder, mode=mode, steps=STEPS))


def row(rows, name):
    return next(row for row in rows if row["name"] == name)


@CASES
def test_parts_operations_and_phases_each_add_up_to_the_wall_time_of_each_step(traced, name, mode):
    summary, _ = traced(name, mode)
    tables = [summary.parts, summary.operations, *[summary.phases] * (mode == "train_step")]
    for rows in tables:
        assert sum(row["share"] for row in rows) == pytest.approx(1)
        for step in range(STEPS):
            assert sum(row["per_step_ms"][step] for row in rows) == pytest.approx(summary.step_ms[step])
    assert bool(summary.phases) == (mode == "train_step")


@CASES
def test_flops_are_those_of_the_closed_form(traced, name, mode):
    summary, _ = traced(name, mode)
    form = closed_form(MODELS[name])
    truth = BATCH * 2 * (form.macs + (form.macs_backward if mode == "train_step" else 0))
    assert summary.flops == summary.flops_counted == truth
    assert sum(operation["flops"] or 0 for operation in summary.operations) == truth


@CASES
def test_the_peak_is_that_of_the_memory_model(traced, name, mode):
    found = traced(name, mode)[0].memory
    modelled = memory(MODELS[name], batch_size=BATCH, training=mode == "train_step").bytes
    # a tiny ResNet's convolutions reorder their input in workspaces that the model leaves out
    assert modelled <= found["peak"] <= modelled * (1.01 if name == "vit" else 1.25)
    assert max(level for _, level in found["timeline"]) == found["peak"]
    assert [name for name, *_ in found["phases"]] == (
        ["forward", "loss", "backward", "optimizer"] if mode == "train_step" else ["forward"]
    )


def test_blocks_are_a_vits_blocks_and_a_resnets_stages(traced):
    for mode in MODES:
        vit, resnet = (traced(name, mode)[0].blocks for name in MODELS)
        assert [block["name"] for block in vit] == ["blocks.0", "blocks.1", "blocks.2"]
        assert [block["name"] for block in resnet] == ["layer1", "layer2"]
        for block in (*vit, *resnet):
            assert block["forward_ms"] > 0
            assert (block["backward_ms"] > 0) == (mode == "train_step")
            assert block["ms"] == pytest.approx(block["forward_ms"] + block["backward_ms"])


def test_parts_are_those_of_the_model(traced):
    names = {name: {part["name"] for part in traced(name, "train_step")[0].parts} for name in MODELS}
    both = {"norm", "head", "loss", "optimizer", "other"}
    assert names == {
        "vit": both | {"attention", "mlp", "patch_embed"},
        "resnet": both | {"convolution", "activation"},
    }


@CASES
def test_the_trace_is_chromes_json_with_a_range_for_each_step_phase_and_module(traced, name, mode):
    (file,) = traced(name, mode)[1].glob("vitbench.*.pt.trace.json")
    events = json.loads(file.read_text())["traceEvents"]
    assert all({"ph", "name", "pid", "tid"} <= set(event) for event in events)
    ranges = [event["name"] for event in events if event.get("cat") == "user_annotation"]
    modules = ("blocks.0", "blocks.2.attn", "blocks.1.mlp", "head") if name == "vit" else ("layer1", "fc", "bn1")
    for expected in ("forward", *(f"module {path}" for path in modules)):
        assert ranges.count(expected) == STEPS
    assert ranges.count("backward") == (STEPS if mode == "train_step" else 0)
    assert [r for r in ranges if r.startswith("ProfilerStep#")] == ["ProfilerStep#1", "ProfilerStep#2"]


def test_a_sleep_in_the_mlp_is_the_mlps(nets, tmp_path):
    summary = planted(nets, tmp_path, forward_s=0.03)
    assert min(row(summary.parts, "mlp")["per_step_ms"]) >= 60  # two blocks sleep 30 ms each
    assert all(block["forward_ms"] >= 30 for block in summary.blocks)
    assert row(summary.operations, PYTHON)["ms"] + row(summary.operations, "Sleep")["ms"] >= 60


def test_a_sleep_in_its_backward_pass_is_the_mlps_too(nets, tmp_path):
    summary = planted(nets, tmp_path, backward_s=0.03, mode="train_step")
    assert min(row(summary.parts, "mlp")["per_step_ms"]) >= 60
    assert all(block["backward_ms"] >= 30 for block in summary.blocks)
    assert row(summary.phases, "backward")["ms"] >= 60


def test_a_heavy_product_in_the_attention_is_the_attentions(nets, tmp_path):
    summary = planted(nets, tmp_path, size=768)
    assert row(summary.parts, "attention")["share"] > 0.5
    assert {key: summary.operations[0][key] for key in ("name", "calls", "flops")} == {
        "name": "aten::mm", "calls": 2, "flops": 2 * 2 * 768**3
    }  # fmt: skip


def test_a_wide_tensor_is_the_peak(nets, tmp_path):
    plain, wide = (planted(nets, tmp_path / str(n), wide=n).memory["peak"] for n in (0, 10 * MIB))
    assert wide - plain == pytest.approx(40 * MIB, rel=1e-3)


def test_fused_layers_stay_fused_under_the_ranges(nets, tmp_path):
    config = ExternalConfig(f"{nets}:encoder", img_size=8)
    summary = summarize(record("encoder", config, MeasureConfig(batch_size=2), folder=tmp_path, steps=1))
    assert row(summary.operations, "aten::_transformer_encoder_layer_fwd")["calls"] == 2
    assert [block["name"] for block in summary.blocks] == ["layers.layers.0", "layers.layers.1"]


def test_a_model_that_only_torch_can_count(nets, tmp_path):
    config = ExternalConfig(f"{nets}:needs_data", img_size=8)
    summary = summarize(record("net", config, MeasureConfig(batch_size=1), folder=tmp_path, steps=1))
    assert summary.flops_counted is None
    assert summary.flops == 2 * (2 * 2 * 8 * 8 * 8 + 8 * 3)


def test_a_new_trace_replaces_the_one_before_and_nothing_else(nets, tmp_path):
    folder = tmp_path / "traces"
    folder.mkdir()
    (folder / "mine.pt.trace.json").write_text("{}")
    files = [record("net", MODELS["vit"], SETTINGS, folder=folder, steps=1).file for _ in range(2)]
    assert files[0] != files[1]
    assert {path.name for path in folder.iterdir()} == {"mine.pt.trace.json", files[1].name}


def test_no_steps_are_refused(tmp_path):
    with pytest.raises(UserError, match="steps=0"):
        record("vit", MODELS["vit"], SETTINGS, folder=tmp_path, steps=0)


class Step:
    def __init__(self, start, end):
        self.time_range, self.cpu_children = type("Interval", (), {"start": start, "end": end}), []


def test_memory_is_a_ledger_over_what_was_held():
    allocations = [(1, 100), (2, -100), (12, 50), (14, 300), (16, -300), (18, -50), (40, 9000)]
    found = memory_of(allocations, 1000, [Step(0, 10), Step(10, 30)])
    assert (found["peak"], found["held"], found["step"]) == (1350, 1000, 1)
    levels = [(0.0, 1000), (0.002, 1050), (0.004, 1350), (0.006, 1050), (0.008, 1000), (0.02, 1000)]
    assert found["timeline"] == levels
    assert memory_of([], 1000, [Step(0, 10)]) is None
