"""``python -m vitbench.trace``: what it records, what it says, what it leaves on disk, and its mistakes."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from vitbench.__main__ import COMMANDS
from vitbench.declare.external import ExternalConfig
from vitbench.declare.measure import MeasureConfig
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.vit import ViTConfig
from vitbench.measure import count, memory
from vitbench.measure.profile import profile
from vitbench.measure.tracing import tables
from vitbench.measure.tracing.recording import record
from vitbench.trace import Options, folder_of, main
from vitbench.utils.errors import UserError

BATCH, STEPS = 3, 2
SETTINGS = MeasureConfig(batch_size=BATCH)
TINY = ViTConfig(img_size=8, patch_size=2, in_chans=1, num_classes=10, embed_dim=32, depth=3, num_heads=2)
RESNET = ResNetConfig(depth=None, layers=(1, 2), block="bottleneck", width=8, img_size=16, in_chans=1, num_classes=10)
MODELS = {"vit": TINY, "resnet": RESNET}
NETS = """
import time

import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self, size=0):
        super().__init__()
        self.qkv, self.heavy = nn.Linear(8, 8), size and nn.Parameter(torch.randn(size, size))

    def forward(self, x):
        if isinstance(self.heavy, nn.Parameter):
            x = x + (self.heavy @ self.heavy)[0, 0] * 0
        return self.qkv(x)


class Sleep(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, forward_s, backward_s):
        time.sleep(forward_s)
        ctx.s = backward_s
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        time.sleep(ctx.s)
        return gradient, None, None


class Mlp(nn.Module):
    def __init__(self, forward_s=0, backward_s=0):
        super().__init__()
        self.fc, self.sleeps = nn.Linear(8, 8), (forward_s, backward_s)

    def forward(self, x):
        return Sleep.apply(self.fc(x), *self.sleeps) if any(self.sleeps) and x.device.type == "cpu" else self.fc(x)


class Block(nn.Module):
    def __init__(self, attn, mlp):
        super().__init__()
        self.attn, self.mlp = attn, mlp

    def forward(self, x):
        return x + self.mlp(self.attn(x))


class Net(nn.Module):
    def __init__(self, size=0, copied=0, **sleeps):
        super().__init__()
        self.blocks = nn.ModuleList(Block(Attention(size), Mlp(**sleeps)) for _ in range(2))
        self.copied = copied
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        x = x.flatten(2).mean(1).unflatten(1, (-1, 8))
        for block in self.blocks:
            x = block(x)
        if self.copied:
            wide = torch.empty(self.copied, device=x.device)
            for _ in range(8):
                wide = wide.clone()
        return self.head(x.mean(1))


def build(size=0, copied=0, forward_s=0.0, backward_s=0.0):
    return Net(size, copied, forward_s=forward_s, backward_s=backward_s)


def raising():
    class Raising(Net):
        def forward(self, x):
            if len(x) == 8:
                raise ValueError("it is Monday")
            return super().forward(x)
    return Raising()


def unknown_number():
    class Unknown(Net):
        def forward(self, x):
            return super().forward(x) * float("nan")
    return Unknown()


def encoder():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    stack = nn.Module()
    stack.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    stack.forward = lambda x: stack.layers(x.flatten(2).mean(1).unflatten(1, (-1, 8)))
    return stack
"""


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    """Each model in each mode, recorded once: summary and folder."""
    found = {}

    def of(name, mode):
        if (name, mode) not in found:
            folder = tmp_path_factory.mktemp("traces") / name
            found[name, mode] = profile(name, MODELS[name], SETTINGS, folder=folder, mode=mode, steps=STEPS), folder
        return found[name, mode]

    return of


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """A module of models in the folder in which one stands."""
    (tmp_path / "slow_nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield "slow_nets"
    sys.modules.pop("slow_nets", None)


def planted(nets, folder, *, mode="forward", **kwargs):
    config = ExternalConfig(f"{nets}:build", kwargs=kwargs, img_size=8, num_classes=3)
    return profile("planted", config, MeasureConfig(batch_size=2), folder=folder, mode=mode, steps=STEPS)


def share(summary, name):
    return next((part.share for part in summary.parts if part.name == name), 0.0)


CASES = pytest.mark.parametrize(("name", "mode"), [(n, m) for n in MODELS for m in ("forward", "train_step")])


@CASES
def test_shares_add_up_to_one_and_each_step_to_its_wall_time(traced, name, mode):
    summary, _ = traced(name, mode)
    assert sum(part.share for part in summary.parts) == pytest.approx(1, abs=1e-12)
    steps = [sum(part.per_step_ms[i] for part in summary.parts) for i in range(STEPS)]
    assert steps == pytest.approx(summary.step_ms, rel=1e-9)
    assert sum(operation.share for operation in summary.operations) < 1
    if mode == "train_step":
        assert sum(summary.phases.values()) == pytest.approx(sum(part.ms for part in summary.parts))


@CASES
def test_flops_in_the_trace_are_the_counts(traced, name, mode):
    summary, _ = traced(name, mode)
    costs = count(MODELS[name])
    truth = BATCH * (costs.flops + (costs.flops_backward if mode == "train_step" else 0))
    assert summary.flops == summary.flops_counted == truth
    assert sum(operation.flops or 0 for operation in summary.operations) == truth
    assert summary.findings == ()


@CASES
def test_the_peak_is_the_modelled_one(traced, name, mode):
    summary, _ = traced(name, mode)
    modelled = memory(MODELS[name], batch_size=BATCH, training=mode == "train_step").bytes
    # a tiny ResNet's convolutions reorder their input in workspaces that the model leaves out (measure/peak_memory)
    assert modelled <= summary.memory.peak <= modelled * (1.01 if name == "vit" else 1.25)
    assert max(level for _, level in summary.memory.timeline) == summary.memory.peak


def test_blocks_are_the_depth_and_stages_a_resnets(traced):
    for mode in ("forward", "train_step"):
        vit, resnet = (traced(name, mode)[0] for name in MODELS)
        assert [block.name for block in vit.blocks] == [f"blocks.{i}" for i in range(TINY.depth)]
        assert [block.name for block in resnet.blocks] == ["layer1", "layer2"]
        for block in (*vit.blocks, *resnet.blocks):
            assert block.forward_ms > 0
            assert (block.backward_ms > 0) == (mode == "train_step")
            assert block.ms == pytest.approx(block.forward_ms + block.backward_ms)


def test_parts_are_those_of_the_model(traced):
    names = {name: {part.name for part in traced(name, "train_step")[0].parts} for name in MODELS}
    both = {"norm", "head", "loss", "optimizer", "copies", "other"}
    assert names["vit"] == both | {"attention", "mlp", "patch_embed"}
    assert both | {"convolution", "activation"} >= names["resnet"] >= both - {"copies"}


@CASES
def test_the_trace_is_chromes_json_with_steps_and_a_range_a_call(traced, name, mode):
    _, folder = traced(name, mode)
    (file,) = folder.glob("*.pt.trace.json")
    found = json.loads(file.read_text())
    events = found["traceEvents"]
    assert isinstance(events, list)
    for event in events:
        assert {"ph", "name", "pid", "tid"} <= set(event)
        if event["ph"] == "X":
            assert isinstance(event["ts"], float | int)
            assert event["dur"] >= 0
    marks = [event["name"] for event in events if event.get("cat") == "user_annotation"]
    assert [name for name in marks if name.startswith("ProfilerStep#")] == [
        f"ProfilerStep#{i + 1}" for i in range(STEPS)
    ]
    parts = (
        ("blocks.0", "blocks.2.attn", "blocks.1.mlp", "head") if name == "vit" else ("layer1", "layer2", "fc", "bn1")
    )
    assert all(marks.count(f"module {path}") == STEPS for path in parts)
    assert marks.count("backward") == (STEPS if mode == "train_step" else 0)


def test_a_sleep_in_the_mlp_is_the_mlps(nets, tmp_path):
    summary = planted(nets, tmp_path, forward_s=0.03)
    assert share(summary, "mlp") > 0.5
    assert min(next(p for p in summary.parts if p.name == "mlp").per_step_ms) >= 60  # two blocks sleep 30 ms each
    assert all(block.forward_ms >= 30 for block in summary.blocks)


def test_a_sleep_in_its_backward_pass_too(nets, tmp_path):
    summary = planted(nets, tmp_path, backward_s=0.03, mode="train_step")
    assert share(summary, "mlp") > 0.5
    assert all(block.backward_ms >= 30 for block in summary.blocks)
    assert summary.phases["backward"] >= 60


def test_a_heavy_product_in_the_attention_is_the_attentions(nets, tmp_path):
    summary = planted(nets, tmp_path, size=768)
    assert share(summary, "attention") > 0.5
    top = summary.operations[0]
    assert (top.name, top.calls) == ("aten::mm", 2)
    assert top.flops == 2 * 2 * 768**3


def test_copies_are_apart_from_the_part_they_stand_in(nets, tmp_path):
    summary = planted(nets, tmp_path, copied=4_000_000)
    assert share(summary, "copies") > 0.5
    assert summary.operations[0].name == "aten::copy_"


def test_fused_layers_stay_fused_and_are_divided_by_what_they_call(nets, tmp_path):
    config = ExternalConfig(f"{nets}:encoder", img_size=8)
    summary = profile("encoder", config, MeasureConfig(batch_size=2), folder=tmp_path, steps=1)
    assert "aten::_transformer_encoder_layer_fwd" in {operation.name for operation in summary.operations}
    assert share(summary, "attention") > 0
    assert share(summary, "norm") > 0
    assert [block.name for block in summary.blocks] == ["layers.layers.0", "layers.layers.1"]


def test_the_model_is_left_as_it_was(tmp_path):
    model = nn.Sequential(nn.Flatten(), nn.LayerNorm(4))
    own = model[1].forward = lambda x: nn.LayerNorm.forward(model[1], x)
    record("net", model, torch.randn(2, 4), folder=tmp_path, steps=1)
    assert model[1].forward is own
    assert "forward" not in vars(model[0])


def test_a_new_trace_replaces_the_one_before_and_nothing_else(tmp_path):
    (tmp_path / "mine.pt.trace.json").write_text("{}")
    model, images = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), torch.randn(2, 4)
    first, second = (record("net", model, images, folder=tmp_path, steps=1).path for _ in range(2))
    assert first != second
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["mine.pt.trace.json", second.name])


def run(*argv):
    return main([*argv, "--steps", "1", "--batch-size", "2", "--img-size", "8"])


def test_the_command_writes_all_and_prints_for_readers(nets, capsys):
    assert run(f"{nets}:build") == 0
    shown = capsys.readouterr().out
    folder = Path("results/trace/slow_nets-build")
    assert {path.suffix for path in folder.iterdir()} == {".json", ".svg", ".png"}
    assert {path.name for path in folder.glob("*.svg")} == {"blocks.svg", "memory.svg"}
    assert f"tensorboard --logdir {folder}" in shown
    for words in ("attention", "MLP", "100.0%", "aten::addmm", "blocks.1  █", "memory: peak", "as counted"):
        assert words in shown, words
    assert "no interval" in shown
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["trace"] in {path.name for path in folder.iterdir()}
    assert len(summary["step_ms"]) == summary["steps"] == 1
    assert [block["name"] for block in summary["blocks"]] == ["blocks.0", "blocks.1"]
    assert {"parts", "operations", "memory", "other", "flops", "findings", "scope"} <= set(summary)


def test_json_is_the_summary_and_csv_has_every_row(nets, capsys):
    assert run(f"{nets}:build", "--format", "json", "--mode", "train_step", "--out", "here") == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == json.loads(Path("here/summary.json").read_text())
    assert "tensorboard --logdir here" in err
    assert run(f"{nets}:build", "--format", "csv", "--out", "there") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    summary = json.loads(Path("there/summary.json").read_text())
    assert len(rows) == sum(len(summary[table]) for table in ("parts", "operations", "blocks"))
    assert sum(float(row["share"]) for row in rows if row["table"] == "part") == pytest.approx(1)


def test_markdown_is_tables_and_notes(traced):
    lines = tables.markdown(traced("vit", "train_step")[0]).splitlines()
    assert sum(line.startswith("| ---") for line in lines) == 4
    assert any(line.startswith("| blocks.2 |") for line in lines)
    assert any(line.startswith("- memory: peak") for line in lines)
    assert "- " not in lines


def test_a_bar_is_as_long_as_its_block(traced):
    summary, _ = traced("vit", "forward")
    bars = {line.split()[0]: line for line in tables.text(summary).splitlines() if line.startswith("blocks.")}
    longest = max(summary.blocks, key=lambda block: block.ms)
    for block in summary.blocks:
        assert bars[block.name].count("█") == pytest.approx(40 * block.ms / longest.ms, abs=1)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], ["which model?", "vit_base_patch16_224"]),
        (["vit_base_patch16_225"], ["did you mean 'vit_base_patch16_224'?"]),
        (["resnet50", "--steps", "0"], ["--steps 0"]),
        (["resnet50", "--batch-size", "0"], ["batch_size=0"]),
        (["resnet50", "--device", "tpu"], ["'tpu'", "cpu"]),
        (["resnet50", "--mode", "backward"], ["backward", "train_step"]),
        (["slow_nets:raising", "--img-size", "8"], ["slow_nets:raising cannot be traced", "it is Monday"]),
        (["slow_nets:unknown_number", "--img-size", "8"], ["NaN"]),
        (["torch.nn:Flatten", "--img-size", "8", "--mode", "train_step"], ["no parameters to train"]),
        (["torch.nn:Flatten", "--img-size", "8", "--out", "slow_nets.py"], ["slow_nets.py cannot be made", "--out"]),
    ],
)
def test_a_mistake_is_one_sentence(nets, argv, words, capsys):
    assert main(argv) == 2
    out, err = capsys.readouterr()
    said = [line for line in err.splitlines() if not line.startswith("USDT:")]
    assert out == ""
    assert len(said) == 1
    assert all(word in said[0] for word in words), err


def test_folders_are_names_of_runs(tmp_path):
    assert folder_of(Options(model="timm:vit_tiny")) == Path("results/trace/timm-vit_tiny")
    assert folder_of(Options(model="resnet50", mode="train_step")) == Path("results/trace/resnet50-train_step")
    assert folder_of(Options(model="resnet50", out=tmp_path)) == tmp_path


def test_no_steps_are_refused(tmp_path):
    with pytest.raises(UserError, match="steps=0"):
        profile("vit", TINY, SETTINGS, folder=tmp_path, steps=0)


def test_help_loads_no_torch_and_it_is_a_subcommand():
    assert COMMANDS["trace"][0] == "vitbench.trace"
    code = """
import sys
from vitbench.trace import main
try:
    main(["--help"])
except SystemExit:
    pass
print(sorted({"torch", "pandas", "matplotlib"} & set(sys.modules)))"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"
