"""Modelled memory against arithmetic, the profiler's real allocations, and itself."""

import copy
import gc
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

from tests.support.examples import scaled
from vitbench.declare.measure import MeasureConfig
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.vit import ViTConfig
from vitbench.measure import memory
from vitbench.measure.peak_memory.allocated import allocated
from vitbench.measure.peak_memory.closed_form import closed_form
from vitbench.measure.peak_memory.modelled import PARTS, StorageTracker
from vitbench.measure.peak_memory.real_step import real_step
from vitbench.models import build
from vitbench.models.vit.closed_form_memory import parameters as closed_form_parameters
from vitbench.utils.errors import UserError

ROOT = Path(__file__).parents[3]
SMALL = ViTConfig(img_size=32, patch_size=4, embed_dim=96, depth=3, num_heads=3, num_classes=10)


B16, B32, TI16 = ViTConfig(), ViTConfig(patch_size=32), ViTConfig(embed_dim=192, num_heads=3)
PUBLISHED = {"B/16": (B16, 86_567_656), "B/32": (B32, 88_224_232), "Ti/16": (TI16, 5_717_416)}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_peak_and_its_parts_equal_the_closed_form(name, training):
    config, parameters = PUBLISHED[name]
    assert closed_form_parameters(config) == parameters
    for batch_size in (1, 16) if not training else (16,):
        peak = memory(config, batch_size, training)
        assert peak == closed_form(config, batch_size, training=training)
        assert peak.parameters == 4 * parameters


@st.composite
def plain_vits(draw):
    heads, patch = draw(st.integers(1, 4)), draw(st.sampled_from([1, 2, 4, 16]))
    return ViTConfig(
        img_size=patch * draw(st.integers(1, 6)),
        patch_size=patch,
        in_chans=draw(st.integers(1, 3)),
        num_classes=draw(st.sampled_from([1, 2, 10, 5000])),
        embed_dim=heads * draw(st.sampled_from([4, 8, 32])),
        depth=draw(st.integers(1, 3)),
        num_heads=heads,
        mlp_ratio=draw(st.sampled_from([0.25, 1.0, 2.0, 2.25, 4.0])),
        qkv_bias=draw(st.booleans()),
        pool=draw(st.sampled_from(["cls", "mean"])),
    )


NARROW = ViTConfig(
    img_size=8, patch_size=2, in_chans=1, num_classes=2, embed_dim=16, depth=2, num_heads=2, mlp_ratio=0.25
)


@pytest.mark.slow
@given(plain_vits(), st.integers(1, 16), st.booleans())
@example(
    replace(
        NARROW, img_size=5, patch_size=1, embed_dim=8, depth=1, num_heads=1, mlp_ratio=2.0, qkv_bias=False, pool="mean"
    ),
    3,
    True,
)  # the last norm's backward pass
@example(NARROW, 4, True)  # attention's
@example(replace(NARROW, img_size=32, patch_size=16, in_chans=3), 2, True)  # the end, with all gradients
@example(replace(NARROW, img_size=32, patch_size=16, in_chans=3), 1, True)  # one image's are partly views
@example(replace(NARROW, num_classes=5000), 16, True)  # the softmax
@example(replace(NARROW, num_classes=5000), 16, False)  # the scores
@settings(max_examples=scaled(4))
def test_the_closed_form_is_exact_for_every_plain_vit(config, batch_size, training):
    assert closed_form(config, batch_size, training=training) == memory(config, batch_size, training)


def test_no_classes_nothing_to_train():
    assert closed_form(replace(SMALL, num_classes=0), 8, training=True) is None
    assert closed_form(replace(SMALL, num_classes=0), 8, training=False) == memory(replace(SMALL, num_classes=0), 8)


@pytest.mark.parametrize(
    "config",
    [
        replace(SMALL, pos_embed="rope"),
        replace(SMALL, drop_rate=0.1),
        ResNetConfig(depth=18),
        replace(SMALL, pool="map"),
    ],
)
def test_no_formula_no_number(config):
    assert closed_form(config, 8, training=False) is None


def test_large_weights_and_few_tokens_peak_at_the_end():
    peak = memory(B16, 1, training=True)  # with nearly all gradients
    assert peak == closed_form(B16, 1, training=True)
    assert peak.gradients > 0.98 * peak.parameters


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        replace(SMALL, pos_embed="rope", pool="mean"),
        pytest.param(
            replace(SMALL, pos_embed="relative", drop_rate=0.1, attn_drop_rate=0.1, drop_path_rate=0.1),
            marks=pytest.mark.nightly("memory"),
        ),
        pytest.param(
            ResNetConfig(depth=18, stem="cifar", img_size=32, num_classes=10), marks=pytest.mark.nightly("memory")
        ),
    ],
    ids=["ViT", "ViT rope", "ViT relative, dropout", "ResNet"],
)
def test_the_profiler_sees_the_same(config, training, capfd):
    real = allocated(real_step(config, MeasureConfig(), device="cpu", training=training))
    assert real == pytest.approx(memory(config, 8, training).bytes, rel=0.01)
    assert real >= memory(config, 8, training).bytes
    assert capfd.readouterr().err == ""


@given(
    heads=st.sampled_from([1, 2]),
    pos_embed=st.sampled_from(["none", "learned", "sincos2d", "relative", "rope"]),
    pool=st.sampled_from(["cls", "mean"]),
    batch_size=st.integers(1, 3),
    training=st.booleans(),
)
@settings(max_examples=scaled(3))
def test_parts_sum_to_the_whole(heads, pos_embed, pool, batch_size, training):
    config = ViTConfig(
        img_size=8, patch_size=4, embed_dim=16, depth=1, num_heads=heads, pos_embed=pos_embed, pool=pool, num_classes=3
    )
    peak = memory(config, batch_size, training)
    assert peak.bytes == sum(getattr(peak, part) for part in PARTS)
    assert peak == memory(config, batch_size, training)
    state = [*(model := build(config)).parameters(), *model.buffers()]
    assert peak.parameters == sum(tensor.numel() * tensor.element_size() for tensor in state)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, pytest.param(3, marks=pytest.mark.nightly("memory"))])
def test_all_processes_agree_to_the_byte(processes):
    program = (
        "from vitbench import ViTConfig; from vitbench.measure import memory; "
        "print(memory(ViTConfig(img_size=16, patch_size=4, embed_dim=48, depth=2, num_heads=3), 4, training=True))"
    )
    command = [sys.executable, "-c", program]
    peaks = {
        subprocess.run(
            command,
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=True,
        ).stdout.strip()
        for seed in range(processes)
    }
    config = ViTConfig(img_size=16, patch_size=4, embed_dim=48, depth=2, num_heads=3)
    assert peaks == {str(memory(config, 4, training=True))}


def test_a_step_dominated_by_its_weights():
    # 4,000,000 bytes of weights, hardly any activation: the peak has all gradients and AdamW's two moments, and a
    # step count of 4 bytes for each of the two tensors
    peak = memory(nn.Linear(1000, 1000), 1, training=True, example=torch.zeros(1, 1000))
    weights = 4 * 1000 * 1001
    assert (peak.parameters, peak.gradients, peak.optimizer) == (weights, weights, 2 * weights + 8)
    assert peak.activations < 20_000


def test_frozen_weights_need_neither_gradient_nor_state():
    model = nn.Sequential(nn.Linear(1000, 1000), nn.Linear(1000, 10))
    model[0].requires_grad_(requires_grad=False)
    peak = memory(model, 1, training=True, example=torch.zeros(1, 1000))
    assert peak.optimizer == 2 * 4 * 10_010 + 8
    assert peak.gradients <= 4 * 10_010


class Keeps(nn.Module):
    """Holds ``extra`` more copies of its input through the largest layer."""

    def __init__(self, extra):
        super().__init__()
        self.extra = extra
        self.body = nn.Linear(16, 64)

    def forward(self, x):
        held = [x + 1 for _ in range(self.extra)]
        y = self.body(x)
        return y.sum() + len(held)


@given(extra=st.integers(0, 4))
@settings(max_examples=scaled(2))
def test_a_planted_tensor_is_found_to_the_byte(extra):
    example = torch.zeros(1, 16)
    assert memory(Keeps(extra), 3, example=example).bytes - memory(Keeps(0), 3, example=example).bytes == (
        extra * 3 * 16 * 4
    )


def test_fused_attention_never_stores_its_scores():
    config = ViTConfig(img_size=64, patch_size=2, embed_dim=64, depth=1, num_heads=4)
    assert memory(config).activations < 4 * 4 * 1025**2


def test_training_keeps_what_inference_lets_go():
    deep = replace(SMALL, depth=2 * SMALL.depth)
    assert memory(deep, 8).activations == memory(SMALL, 8).activations
    assert memory(deep, 8, training=True).activations > 1.8 * memory(SMALL, 8, training=True).activations


def test_tied_weights_and_views_are_counted_once():
    model = nn.Sequential(nn.Linear(32, 32, bias=False), nn.Linear(32, 32, bias=False))
    model[1].weight = model[0].weight
    model.register_buffer("head", model[0].weight.detach()[:16])
    assert memory(model, example=torch.zeros(1, 32)).parameters == 4 * 32 * 32


def test_encoder_layer_of_torch_is_seen_through():
    # its fused kernel would hide the hidden layer of the MLP
    layer = nn.TransformerEncoderLayer(16, 2, 256, batch_first=True).eval()
    peak = memory(layer, 4, example=torch.zeros(1, 9, 16))
    assert peak.activations >= 4 * 4 * 9 * 2 * 256
    assert torch.backends.mha.get_fastpath_enabled()
    tracker = StorageTracker()
    images = torch.zeros(4, 9, 16)
    tracker.claim("parameters", layer.parameters())
    tracker.see(images)
    torch.backends.mha.set_fastpath_enabled(value=False)
    with torch.no_grad(), tracker:
        layer(images)
    torch.backends.mha.set_fastpath_enabled(value=True)
    assert tracker.peak() == peak
    tracker.close()


def test_the_module_stays_as_it_was():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2)).eval()
    before, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    memory(model, 2, training=True, example=torch.ones(1, 3, 4, 4))
    memory(SMALL)
    assert not model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(random, torch.get_rng_state())
    assert gc.isenabled()


class Looks(nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (nn.Linear(4, 2), {}, "give example="),
        (SMALL, {"batch_size": 0}, "batch_size=0 is too small"),
        (Looks(), {"example": torch.zeros(1, 4)}, "the memory of Looks cannot be modelled"),
        (nn.Flatten(), {"example": torch.zeros(1, 4), "training": True}, "no parameter requires"),
        (nn.Sequential(nn.Linear(4, 2), nn.Flatten(0)), {"example": torch.zeros(1, 4), "training": True}, "scores"),
        (nn.Linear(4, 2), {"example": torch.zeros(1, 5)}, r"shape \(1, 5\)"),
    ],
)
def test_mistakes(model, options, message):
    with pytest.raises(UserError, match=message):
        memory(model, **options)
