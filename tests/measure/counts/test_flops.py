"""Counts against published numbers, hand-worked examples, and each other."""

import copy
import dataclasses
import functools
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

from tests.support.examples import scaled
from vitbench.declare import discovery
from vitbench.declare.external import ExternalConfig
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.vit import ViTConfig
from vitbench.measure import Counts, count
from vitbench.measure.counts.closed_form import closed_form
from vitbench.measure.counts.matmul_ops import may_multiply
from vitbench.utils.errors import UserError

ROOT = Path(__file__).parents[3]

TINY, SMALL, BASE, LARGE, HUGE = (
    {"embed_dim": dim, "depth": depth, "num_heads": heads}
    for dim, depth, heads in ((192, 12, 3), (384, 12, 6), (768, 12, 12), (1024, 24, 16), (1280, 32, 16))
)
# GMACs of matrix products and convolutions, and millions of activations with the scores counted: the arithmetic of
# FACTS §1, which reproduces timm's published tables (huggingface/pytorch-image-models, results/)
PUBLISHED_VIT = [
    (TINY, 16, 224, 1.254, 5.97),
    (SMALL, 16, 224, 4.599, 11.95),
    (BASE, 16, 224, 17.564, 23.90),
    (BASE, 32, 224, 4.409, 5.01),
    (BASE, 16, 384, 55.484, 101.56),
    (BASE, 8, 224, 78.148, 161.69),
    (LARGE, 16, 224, 61.555, 63.52),
    (LARGE, 32, 224, 15.378, 13.30),
    (HUGE, 14, 224, 167.295, 139.41),
]
# torchvision's `_ops` for ResNet-50 (4.089); parameters and activations as timm publishes them, GMACs without norms
PUBLISHED_RESNET = [(18, 11_689_512, 2.48), (34, 21_797_672, 3.74), (50, 25_557_032, 11.11)]


def agreed(counts: Counts) -> bool:
    """Every method says the same to the last digit, and nothing is left to report."""
    return (
        len({counts.macs, *counts.methods.values()}) == 1
        and len({counts.macs_backward, *counts.methods_backward.values()}) == 1
        and counts.complete
        and counts.findings == ()
    )


@pytest.mark.parametrize(("size", "patch_size", "img_size", "gmacs", "mact"), PUBLISHED_VIT)
def test_published_vits(size, patch_size, img_size, gmacs, mact):
    form = closed_form(ViTConfig(**size, patch_size=patch_size, img_size=img_size))
    assert form.macs / 1e9 == pytest.approx(gmacs, abs=5.01e-4)
    assert form.activations / 1e6 == pytest.approx(mact, abs=5.01e-3)


SHIPPED = {
    v.model: f"{listing.name}: {v.name}"
    for listing in discovery.listings()
    if listing.shipped
    for v in discovery.load(listing.name).ablation.variants()
    if v.model is not None
}


def shallow(model):
    """The model with one block, or one block a stage: what its blocks are made of is what a formula may get wrong."""
    if isinstance(model, ResNetConfig):
        return dataclasses.replace(model, depth=None, layers=(1,) * len(model.layers), block=model.block)
    return dataclasses.replace(model, depth=1)


SHALLOW = {shallow(model): f"{name}, shallow" for model, name in SHIPPED.items()}


@pytest.mark.parametrize(
    "model",
    [
        *(pytest.param(model, id=name) for model, name in SHALLOW.items()),
        *(pytest.param(model, id=name, marks=pytest.mark.nightly("counts")) for model, name in SHIPPED.items()),
    ],
)
def test_every_shipped_variant_three_ways(model):
    counts = count(model)
    assert set(counts.methods) == {"closed_form", "torch_meta", "fvcore"}
    assert agreed(counts)


def test_vit_base_three_ways():
    counts = count(ViTConfig())
    assert agreed(counts)
    assert set(counts.methods) == {"closed_form", "torch_meta", "fvcore"}
    assert set(counts.methods_backward) == {"closed_form", "torch_meta"}
    assert counts.params == 86_567_656
    assert round(counts.macs / 1e9, 2) == 17.56
    assert counts.flops == 2 * counts.macs


@pytest.mark.parametrize(("depth", "params", "mact"), PUBLISHED_RESNET)
def test_published_resnets(depth, params, mact):
    counts = count(ResNetConfig(depth=depth))
    assert agreed(counts)
    assert counts.params == params
    assert round(counts.activations / 1e6, 2) == mact
    if depth == 50:
        assert round(counts.macs / 1e9, 3) == 4.089


POS_EMBEDS = ["none", "learned", "learned2d", "sincos1d", "sincos2d", "relative", "rope"]


@st.composite
def vits(draw):
    heads = draw(st.sampled_from([1, 2, 3]))
    patch = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    grid = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    return ViTConfig(
        img_size=(patch[0] * grid[0], patch[1] * grid[1]),
        patch_size=patch,
        in_chans=draw(st.integers(1, 3)),
        num_classes=draw(st.sampled_from([0, 1, 10])),
        embed_dim=heads * draw(st.sampled_from([4, 8, 12])),
        depth=draw(st.integers(1, 2)),
        num_heads=heads,
        mlp_ratio=draw(st.sampled_from([1.0, 1.7, 4.0])),
        qkv_bias=draw(st.booleans()),
        pos_embed=draw(st.sampled_from(POS_EMBEDS)),
        pool=draw(st.sampled_from(["cls", "mean"])),
        drop_path_rate=draw(st.sampled_from([0.0, 0.2])),
        attn_drop_rate=draw(st.sampled_from([0.0, 0.2])),
    )


KNOBS = [
    *({"pool": "map"}, {"num_registers": 3}, {"distilled": True}, {"distilled": True, "num_classes": 0}),
    *({"representation_size": 7}, {"representation_size": 7, "pool": "map", "num_classes": 0}),
    *({"stem": "conv"}, {"stem": "conv", "patch_size": 8, "in_chans": 1}, {"patch_norm": True}),
    {"stem": "hybrid", "hybrid_layers": (), "hybrid_width": 32},
    {"stem": "hybrid", "hybrid_layers": (1,), "hybrid_width": 32},
    {"stem": "hybrid", "hybrid_layers": (2, 1), "hybrid_width": 32, "patch_size": 16},
    *({"norm": "rmsnorm"}, {"norm": "batchnorm"}, {"norm_position": "post"}, {"residual": False}),
    *({"act": "gelu_tanh"}, {"act": "relu"}, {"act": "silu"}, {"mlp": "swiglu"}, {"mlp": "swiglu", "pool": "map"}),
    *({"qk_norm": True}, {"qk_norm": True, "pos_embed": "rope"}, {"qk_scale": 1.0}, {"layer_scale": 0.1}),
    *({"attention": "eager"}, {"attention": "eager", "pos_embed": "relative"}),
    *({"attn_mask": "causal", "pool": "mean", "attention": word} for word in ("sdpa", "eager")),
    {"attn_mask": "causal", "pool": "map", "pos_embed": "relative"},
    *({"pos_embed": word, "pos_embed_at": at} for word in ("learned2d", "sincos1d") for at in ("stem", "every_layer")),
    {"pos_embed_at": "every_layer_shared"},
]


@pytest.mark.parametrize("knobs", KNOBS, ids=str)
def test_every_knob_three_ways(knobs):
    depth = 2 if "pos_embed_at" in knobs else 1
    config = ViTConfig(
        **{"img_size": 16, "patch_size": 4, "embed_dim": 32, "depth": depth, "num_heads": 2, "num_classes": 5, **knobs}
    )
    counts = count(config)
    assert len(counts.methods) == 3
    assert agreed(counts)
    assert counts.activations == closed_form(config).activations


@pytest.mark.slow
@given(vits())
@settings(max_examples=scaled(6))
def test_vits_three_ways(config):
    counts = count(config)
    assert len(counts.methods) == 3
    assert agreed(counts)
    assert counts.activations == closed_form(config).activations


@functools.cache
def macs_without_positions(config):
    return count(config).macs


@pytest.mark.parametrize("pos_embed", POS_EMBEDS)
@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_position_embeddings_are_no_products(pos_embed, pool):
    config = ViTConfig(img_size=8, patch_size=2, embed_dim=32, depth=1, num_heads=2, pool=pool, pos_embed=pos_embed)
    counts = count(config)
    assert agreed(counts)
    assert counts.macs == macs_without_positions(dataclasses.replace(config, pos_embed="none"))


@st.composite
def resnets(draw):
    stages = [
        {"depth": 18},
        {"depth": 50},
        {"depth": None, "block": "basic", "layers": (1, 2, 1)},
        {"depth": None, "block": "bottleneck", "layers": (2,)},
    ]
    return ResNetConfig(
        **draw(st.sampled_from(stages)),
        stem=draw(st.sampled_from(["imagenet", "cifar"])),
        img_size=draw(st.tuples(st.integers(3, 40), st.integers(3, 40))),
        width=draw(st.sampled_from([2, 4, 6])),
        norm=draw(st.sampled_from(["batchnorm", "groupnorm"])),
        residual=draw(st.booleans()),
        padding=draw(st.sampled_from(["zeros", "circular"])),
        variant=draw(st.sampled_from(["plain", "d"])),
        in_chans=draw(st.integers(1, 3)),
        num_classes=draw(st.sampled_from([0, 7])),
    )


@pytest.mark.slow
@given(resnets())
@example(ResNetConfig(depth=18, width=2, norm="groupnorm", img_size=3, num_classes=0))  # one pixel, two channels
@settings(max_examples=scaled(3))
def test_resnets_three_ways(config):
    counts = count(config)
    assert len(counts.methods) == 3
    assert agreed(counts)
    assert counts.activations == closed_form(config).activations


def test_hand_worked_example():
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(128, 10))
    counts = count(model, torch.zeros(5, 3, 4, 4))
    conv, linear = 16 * 8 * 27, 128 * 10
    assert counts.macs == conv + linear
    assert counts.macs_backward == conv + 2 * linear  # of the convolution's factors only the weight wants a gradient
    assert counts.activations == 16 * 8 + 10
    assert counts.params == 8 * 27 + 8 + 16 + 1290
    assert counts.by_module == {"": conv + linear, "0": conv, "4": linear}
    assert counts.methods == {"torch_meta": conv + linear, "fvcore": conv + linear}
    assert counts.findings == ()


def test_modules_add_up():
    counts = count(ViTConfig(img_size=8, patch_size=2, embed_dim=32, depth=3, num_heads=2))
    inside = counts.by_module
    assert inside[""] == counts.macs
    assert inside[""] == inside["patch_embed"] + inside["head"] + sum(inside[f"blocks.{i}"] for i in range(3))
    scores_and_values = 2 * 17 * 17 * 32
    assert inside["blocks.1.attn"] == inside["blocks.1.attn.qkv"] + inside["blocks.1.attn.proj"] + scores_and_values


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("frozen", [True, False])
def test_attention_of_other_people_is_counted_in_every_mode(training, frozen):
    # the fused encoder layer, which counters see as nothing, runs in evaluation mode without gradients
    layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True).train(training).requires_grad_(not frozen)
    counts = count(layer, torch.zeros(2, 17, 64))
    linear, attention = 17 * 64 * (3 * 64 + 64 + 2 * 128), 2 * 17 * 17 * 64
    assert set(counts.methods.values()) == {linear + attention}
    assert counts.macs_backward == (0 if frozen else 2 * (linear + attention) - 17 * 64 * 3 * 64)
    assert counts.complete
    assert counts.findings == ()


def test_frozen_weights_need_no_gradient():
    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2))
    model[0].requires_grad_(requires_grad=False)
    assert count(model, torch.zeros(1, 4)).macs_backward == 8 * 2


class MatrixVector(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(6, 4))

    def forward(self, x):
        return torch.mv(self.weight, x[0])[None]


def test_a_product_without_a_formula_is_named():
    counts = count(MatrixVector(), torch.zeros(3, 4))
    assert not counts.complete
    assert any("aten.mv" in finding for finding in counts.findings)
    assert any("fvcore has no formula for aten::mv" in finding for finding in counts.findings)


@torch.library.custom_op("vitbench_test::magic", mutates_args=())
def magic(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a @ b.T


@magic.register_fake
def _(a, b):
    return a.new_empty(a.shape[0], b.shape[0])


class Planted(nn.Module):
    """Calls ``function`` on its weight (6, 4) and an image (5, 4)."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.zeros(6, 4))

    def forward(self, x):
        return self.function(self.weight, x[0])


def heads(x):
    return x[None, None]


UNKNOWN = {  # none has a formula in torch's counter; the second word is what it is called there
    "custom operation": (lambda w, x: magic(x, w), "vitbench_test.magic"),
    "mv": (lambda w, x: torch.mv(w, x[0])[None], "aten.mv"),
    "addmv": (lambda w, x: torch.addmv(torch.zeros(6), w, x[0])[None], "aten.addmv"),
    "matmul with a vector": (lambda w, x: x @ w[0], "aten.mv"),
    "dot": (lambda w, x: torch.dot(w[0], x[0])[None], "aten.dot"),
    "vdot": (lambda w, x: torch.vdot(w[0], x[0])[None], "aten.vdot"),
    "addbmm": (lambda w, x: torch.addbmm(torch.zeros(5, 6), x[None], w.T[None]), "aten.addbmm"),
    "bilinear": (lambda w, x: nn.functional.bilinear(x, x, w[None, :4].repeat(3, 1, 1)), "aten._trilinear"),
    "cdist": (lambda w, x: torch.cdist(x, w), "aten._cdist_forward"),
    "cdist by products": (
        lambda w, x: torch.cdist(x, w, compute_mode="use_mm_for_euclid_dist"),
        "aten._euclidean_dist",
    ),
    "matrix exponential": (lambda w, x: torch.matrix_exp(w[:4]), "aten.linalg_matrix_exp"),
    "int8": (lambda w, x: torch._int_mm(*[torch.zeros(32, 32, dtype=torch.int8)] * 2) * w[0, 0], "aten._int_mm"),
    "attention's CPU kernel": (
        lambda w, x: torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(*[heads(x * w[0])] * 3)[0],
        "aten._scaled_dot_product_flash_attention_for_cpu",
    ),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_whatever_lacks_a_formula_makes_the_count_incomplete_and_is_named(name):
    function, operation = UNKNOWN[name]
    counts = count(Planted(function), torch.zeros(3, 5, 4))
    assert not counts.complete
    assert f"{operation} has no formula: the count leaves it out" in counts.findings


KNOWN = {  # multiply-adds worked out by hand
    "einsum": (lambda w, x: torch.einsum("sd,cd->sc", x, w), 5 * 6 * 4),
    "einsum of three": (lambda w, x: torch.einsum("sd,cd,sd->c", x, w, x), 6 * 5 * 4),
    "tensordot": (lambda w, x: torch.tensordot(x, w, ([1], [1])), 5 * 6 * 4),
    "inner": (lambda w, x: torch.inner(x, w), 5 * 6 * 4),
    "addmm": (lambda w, x: torch.addmm(torch.zeros(6), x, w.T), 5 * 6 * 4),
    "baddbmm": (lambda w, x: torch.baddbmm(torch.zeros(1, 5, 6), x[None], w.T[None]), 5 * 6 * 4),
    "a chain": (lambda w, x: torch.linalg.multi_dot([x, w.T, w]), 4 * 6 * 4 + 5 * 4 * 4),  # (w.T w) first: 176, not 240
    "attention": (lambda w, x: nn.functional.scaled_dot_product_attention(*[heads(x * w[0])] * 3), 2 * 5 * 5 * 4),
    "grouped queries": (
        lambda w, x: nn.functional.scaled_dot_product_attention(
            heads(x * w[0]).repeat(1, 2, 1, 1), heads(x), heads(x), enable_gqa=True
        ),
        2 * 2 * 5 * 5 * 4,
    ),
    "unfold": (lambda w, x: nn.functional.unfold(x[None, None], 2)[0].T @ w.T, 12 * 4 * 6),
}


@pytest.mark.parametrize("name", KNOWN)
def test_every_spelling_of_a_product_is_counted(name):
    function, macs = KNOWN[name]
    counts = count(Planted(function), torch.zeros(3, 5, 4))
    assert (counts.macs, counts.complete) == (macs, True)
    for method, other in counts.methods.items():  # a counter that says something else is a finding
        assert other == macs or any(f"{method} {other:,}" in finding for finding in counts.findings)


def test_a_product_without_a_gradient_keeps_its_forward_count():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Linear(4, 6)

        def forward(self, x):
            return magic(self.body(x), self.body.weight.T)

    counts = count(Odd(), torch.zeros(3, 4))
    assert counts.macs == 24
    assert (counts.macs_backward, counts.flops_backward, counts.by_module_backward) == (None, None, {})
    assert any("the backward pass cannot be counted: " in finding for finding in counts.findings)


def test_what_multiplies_nothing_is_not_suspected():
    quiet = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU(), nn.BatchNorm2d(4), nn.Upsample(8), nn.AdaptiveAvgPool2d(1))
    counts = count(nn.Sequential(quiet, nn.Flatten(), nn.Softmax(-1)), torch.zeros(1, 3, 6, 6))
    assert (counts.complete, counts.findings) == (True, ())
    names = ("aten::gelu", "aten::mul", "aten::_thnn_fused_lstm_cell", "aten::cumsum", "torchvision::nms", "prims::add")
    assert not any(map(may_multiply, names))
    assert all(map(may_multiply, ("xformers::memory_efficient", "aten::_scaled_mm", "triton_kernel_wrapper_mutation")))


@pytest.mark.slow
@pytest.mark.parametrize("config", [ViTConfig(), ResNetConfig(depth=50)], ids=["ViT", "ResNet"])
def test_the_backward_pass_by_module_adds_up(config):
    counts = count(config)
    inside = counts.by_module_backward
    assert inside.keys() == counts.by_module.keys()
    assert inside[""] == counts.macs_backward
    if isinstance(config, ViTConfig):
        assert inside["patch_embed"] == counts.by_module["patch_embed"]  # nobody asks for the image's gradient
        assert all(inside[f"blocks.{i}"] == 2 * counts.by_module[f"blocks.{i}"] for i in range(12))
        assert sum(inside[f"blocks.{i}"] for i in range(12)) + inside["patch_embed"] + inside["head"] == inside[""]
    else:
        leaves = [name for name in inside if not any(other.startswith(f"{name}.") for other in inside) and name]
        assert sum(inside[name] for name in leaves) == inside[""]


def test_a_disagreement_is_named():
    counts = count(nn.LSTM(8, 16, batch_first=True), torch.zeros(2, 5, 8))
    assert counts.macs == 5 * 4 * 16 * (8 + 16)
    assert counts.complete
    assert any("disagree on MACs by 100.0%" in finding and "fvcore 0" in finding for finding in counts.findings)


def test_the_module_stays_as_it_was():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))
    before, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    count(model, torch.ones(2, 3, 4, 4))
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(p.device.type == "cpu" and p.grad is None for p in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    count(ViTConfig(img_size=8, patch_size=2, embed_dim=32, depth=1, num_heads=2))
    assert torch.equal(random, torch.get_rng_state())


class PlainTensor(nn.Module):
    """Holds a tensor that is neither parameter nor buffer, and ties two weights."""

    def __init__(self):
        super().__init__()
        self.scale = torch.ones(4)
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)
        self.two.weight = self.one.weight

    def forward(self, x):
        return self.two(self.one(x * self.scale + torch.arange(4)))


def test_unregistered_and_tied_tensors():
    counts = count(PlainTensor(), torch.zeros(1, 4))
    assert (counts.macs, counts.params, counts.findings) == (32, 24, ())


def test_the_room_is_entered_without_torch():
    program = "import sys, vitbench.measure; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, cwd=ROOT).returncode == 0


def test_external_model(tmp_path, monkeypatch):
    source = """
        import torch
        from torch import nn

        def tiny(num_classes, in_chans, rate=0.5):
            rates = [value.item() for value in torch.linspace(0, rate, 2)]  # what few constructors on meta survive
            return nn.Sequential(nn.Dropout(rates[1]), nn.Flatten(), nn.Linear(in_chans * 64, num_classes))
    """
    (tmp_path / "vitbench_external_counts.py").write_text(textwrap.dedent(source))
    monkeypatch.syspath_prepend(tmp_path)
    random = torch.get_rng_state()
    counts = count(ExternalConfig("vitbench_external_counts:tiny", img_size=8, in_chans=2, num_classes=5))
    assert counts.methods == {"torch_meta": 640, "fvcore": 640}
    assert torch.equal(random, torch.get_rng_state())


@pytest.mark.parametrize(
    ("model", "example", "message"),
    [
        (nn.Linear(4, 2), None, "give example="),
        ("resnet50", None, "neither a module nor a config"),
        (nn.Linear(4, 2), torch.zeros(1, 5), r"does not run on an input of shape \(1, 5\)"),
        (nn.Linear(4, 2), torch.tensor(0.0), "the batch as first dimension"),
        (nn.Linear(4, 2), (), "the batch as first dimension"),
    ],
)
def test_mistakes(model, example, message):
    with pytest.raises(UserError, match=message):
        count(model, example)


class InGroups(nn.Module):
    """A grouped convolution written as one for each group."""

    def __init__(self, conv: nn.Module, groups: int) -> None:
        super().__init__()
        make = type(conv)
        sizes = (conv.in_channels // groups, conv.out_channels // groups)
        self.parts = nn.ModuleList(
            make(*sizes, conv.kernel_size, conv.stride, conv.padding, bias=False) for _ in range(groups)
        )

    def forward(self, x):
        return torch.cat([part(x) for part, x in zip(self.parts, x.chunk(len(self.parts), 1), strict=True)], 1)


@pytest.mark.parametrize("make", [nn.Conv2d, nn.ConvTranspose2d])
@pytest.mark.parametrize("groups", [1, 2, 8])
def test_the_backward_pass_of_grouped_convolutions_is_that_of_their_groups(make, groups):
    """torch 2.13's own formula takes the weight's gradient as many times too often as there are groups."""
    first = nn.Conv2d(3, 8, 1)
    conv = make(8, 16, 3, stride=2, padding=1, groups=groups, bias=False)
    example = torch.randn(1, 3, 9, 9)
    whole, apart = (count(nn.Sequential(first, part), example) for part in (conv, InGroups(conv, groups)))
    assert whole.macs == apart.macs
    assert whole.macs_backward == apart.macs_backward
    conv_macs = whole.by_module["1"]
    assert whole.by_module_backward["1"] == 2 * conv_macs
