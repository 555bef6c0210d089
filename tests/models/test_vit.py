"""The vision transformer against a plain reimplementation, closed forms and invariants."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vitbench.declare.vit import ViTConfig
from vitbench.models.vit import VisionTransformer
from vitbench.utils.errors import ImpossibleConfigError

SMALL = {"img_size": (4, 6), "patch_size": 2, "in_chans": 2, "num_classes": 3, "embed_dim": 16, "depth": 2}
KINDS = ("none", "learned", "sincos2d", "relative", "rope")
POOLS = ("cls", "mean")


def small(**changes):
    torch.manual_seed(0)
    return VisionTransformer(ViTConfig(**{**SMALL, "num_heads": 2, **changes}))


def images(model, batch=2, dtype=torch.float32):
    config = model.config
    shape = (batch, config.in_chans, *model.patch_embed.img_size)
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(1))


@st.composite
def configs(draw):
    patch = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    grid = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    heads = draw(st.integers(1, 3))
    values = {
        "img_size": (patch[0] * grid[0], patch[1] * grid[1]),
        "patch_size": patch,
        "in_chans": draw(st.integers(1, 4)),
        "num_classes": draw(st.integers(0, 5)),
        "embed_dim": heads * draw(st.sampled_from([1, 3, 4, 8])),
        "depth": draw(st.integers(1, 3)),
        "num_heads": heads,
        "mlp_ratio": draw(st.sampled_from([1.0, 2.5, 4.0])),
        "qkv_bias": draw(st.booleans()),
        "pos_embed": draw(st.sampled_from(KINDS)),
        "pool": draw(st.sampled_from(POOLS)),
        "init": draw(st.sampled_from(["timm", "jax", "classic", "moco"])),
    }
    try:
        return ViTConfig(**values)
    except ImpossibleConfigError:
        return ViTConfig(**{**values, "pos_embed": "learned"})  # no rope or sincos2d at this width


def closed_form(c):
    (height, width), dim, hidden = c.grid_size, c.embed_dim, c.mlp_dim
    tokens = height * width + (c.pool == "cls")
    block = 2 * 2 * dim + dim * 3 * dim + 3 * dim * c.qkv_bias + dim * dim + dim + 2 * dim * hidden + hidden + dim
    patch_h, patch_w = c.patch_size
    positions = {
        "learned": tokens * dim,
        "relative": c.depth * c.num_heads * ((2 * height - 1) * (2 * width - 1) + 3 * (c.pool == "cls")),
    }
    return (
        c.in_chans * patch_h * patch_w * dim
        + dim
        + dim * (c.pool == "cls")
        + positions.get(c.pos_embed, 0)
        + c.depth * block
        + 2 * dim
        + (dim + 1) * c.num_classes
    )


@given(configs(), st.integers(1, 3))
def test_parameters_and_shapes_follow_the_closed_form(config, batch):
    model = VisionTransformer(config)
    assert sum(p.numel() for p in model.parameters()) == closed_form(config)
    out = model(images(model, batch))
    assert out.shape == (batch, config.num_classes or config.embed_dim)
    assert out.isfinite().all()


def plain_vit(model, x):
    """The forward pass written anew from the state dict, for learned positions: no module of ours is called."""
    s, c = model.state_dict(), model.config

    def norm(x, name):
        centred = x - x.mean(-1, keepdim=True)
        return (
            centred / (centred.square().mean(-1, keepdim=True) + c.norm_eps).sqrt() * s[f"{name}.weight"]
            + s[f"{name}.bias"]
        )

    def linear(x, name):
        return x @ s[f"{name}.weight"].T + s[f"{name}.bias"]

    def gelu(x):
        return x * (1 + torch.erf(x / math.sqrt(2))) / 2

    batch, (patch_h, patch_w), (down, across) = len(x), model.patch_embed.proj.kernel_size, c.grid_size
    patches = x.reshape(batch, c.in_chans, down, patch_h, across, patch_w).permute(0, 2, 4, 1, 3, 5)
    kernel = s["patch_embed.proj.weight"].reshape(c.embed_dim, -1)
    x = patches.reshape(batch, down * across, -1) @ kernel.T + s["patch_embed.proj.bias"]
    if c.pool == "cls":
        x = torch.cat((s["cls_token"].repeat(batch, 1, 1), x), 1)
    x = x + s["pos_embed"]
    for i in range(c.depth):
        y = linear(norm(x, f"blocks.{i}.norm1"), f"blocks.{i}.attn.qkv")
        q, k, v = y.reshape(*y.shape[:2], 3, c.num_heads, c.head_dim).permute(2, 0, 3, 1, 4)
        weights = torch.einsum("bhqd,bhkd->bhqk", q, k).div(math.sqrt(c.head_dim)).softmax(-1)
        y = torch.einsum("bhqk,bhkd->bqhd", weights, v).reshape(x.shape)
        x = x + linear(y, f"blocks.{i}.attn.proj")
        y = gelu(linear(norm(x, f"blocks.{i}.norm2"), f"blocks.{i}.mlp.fc1"))
        x = x + linear(y, f"blocks.{i}.mlp.fc2")
    x = norm(x, "norm")
    return linear(x[:, 0] if c.pool == "cls" else x.mean(1), "head")


@pytest.mark.parametrize("pool", POOLS)
def test_equals_a_plain_reimplementation(pool):
    model = small(pool=pool, init="moco", pos_embed_std=1.0).double()
    for parameter in model.parameters():  # norms and biases away from 1 and 0
        parameter.data += 0.1 * torch.randn_like(parameter)
    x = images(model, dtype=torch.float64)
    torch.testing.assert_close(model(x), plain_vit(model, x))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pool", POOLS)
def test_every_parameter_receives_a_gradient(kind, pool):
    model = small(pos_embed=kind, pool=pool)
    model(images(model)).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pool", POOLS)
def test_float32_agrees_with_float64(kind, pool):
    model = small(pos_embed=kind, pool=pool, init="moco").eval()
    x = images(model)
    exact = copy.deepcopy(model).double()(x.double())
    torch.testing.assert_close(model(x).double(), exact, rtol=1e-4, atol=1e-5)


def shuffle_patches(x, order, patch):
    batch, chans, height, width = x.shape
    cut = x.reshape(batch, chans, height // patch, patch, width // patch, patch).permute(0, 2, 4, 1, 3, 5)
    shuffled = cut.flatten(1, 2)[:, order].reshape(cut.shape)
    return shuffled.permute(0, 3, 1, 4, 2, 5).reshape(x.shape)


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("kind", KINDS)
def test_only_positions_make_the_order_of_patches_matter(kind, pool):
    model = small(pos_embed=kind, pool=pool, init="moco", pos_embed_std=1.0).double()
    for name, parameter in model.named_parameters():
        if name.endswith("bias_table"):
            nn.init.normal_(parameter)
    x = images(model, dtype=torch.float64)
    moved = shuffle_patches(x, torch.tensor([3, 0, 5, 1, 4, 2]), 2)
    assert torch.allclose(model(x), model(moved), rtol=1e-9) == (kind == "none")


def test_names_are_timms():
    block = [
        f"{name}.{kind}"
        for name in ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
        for kind in ("weight", "bias")
    ]
    expected = {
        *("cls_token", "pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias"),
        *(f"blocks.{i}.{name}" for i in range(2) for name in block),
        *("norm.weight", "norm.bias", "head.weight", "head.bias"),
    }
    assert set(small().state_dict()) == expected
    assert set(small(pool="mean").state_dict()) == expected - {"cls_token"}
    assert set(small(pos_embed="rope").state_dict()) == expected - {"pos_embed"}
    tables = {f"blocks.{i}.attn.rel_pos.relative_position_bias_table" for i in range(2)}
    assert set(small(pos_embed="relative").state_dict()) == expected - {"pos_embed"} | tables


def test_a_fixed_table_is_no_parameter():
    model = small(pos_embed="sincos2d")
    assert "pos_embed" in dict(model.named_buffers())
    assert model.no_weight_decay() == {"cls_token"}


def test_tokens_and_positions_take_no_decay():
    assert small().no_weight_decay() == {"cls_token", "pos_embed"}
    assert small(pos_embed="relative", pool="mean").no_weight_decay() == {
        f"blocks.{i}.attn.rel_pos.relative_position_bias_table" for i in range(2)
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pool", POOLS)
def test_builds_and_runs_without_storage(kind, pool):
    with torch.device("meta"):
        model = small(pos_embed=kind, pool=pool, drop_path_rate=0.1)
        out = model(torch.empty(5, 2, 4, 6))
    assert out.shape == (5, 3)
    assert {t.device.type for t in (*model.parameters(), *model.buffers())} == {"meta"}


def test_macs_follow_the_closed_form():
    """FACTS §1: L·S·12D² + N·3P²·D + D·K + 2·L·S²·D, 17.564 GMAC for ViT-B/16."""
    with torch.device("meta"):
        model = VisionTransformer(ViTConfig()).eval()
        with FlopCounterMode(display=False) as counter:
            model(torch.empty(1, 3, 224, 224))
    depth, tokens, patches, dim = 12, 197, 196, 768
    linear = depth * tokens * 12 * dim**2 + patches * 3 * 16**2 * dim + dim * 1000
    attention = 2 * depth * tokens**2 * dim
    assert counter.get_total_flops() == 2 * (linear + attention)
    assert round((linear + attention) / 1e9, 2) == 17.56


@pytest.mark.parametrize("rate", ["drop_rate", "attn_drop_rate", "drop_path_rate"])
def test_each_kind_of_dropout_acts_in_training_only(rate):
    model, plain = small(**{rate: 0.5}), small()
    x = images(model)
    assert not torch.equal(model(x), model(x))
    torch.testing.assert_close(model.eval()(x), plain.eval()(x))
    torch.testing.assert_close(plain.train()(x), plain.eval()(x))


def test_dropout_stands_where_the_paper_has_it():
    """After the position embedding, the attention projection and both MLP layers: 1 + 3 a block."""
    model = small(drop_rate=0.3)
    seen = []
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            assert module.p == 0.3
            module.register_forward_hook(lambda *_: seen.append(1))
    model(images(model))
    assert len(seen) == 1 + 3 * 2


def test_the_class_token_reads_the_final_norm():
    model = small(num_classes=0)
    x = model.embed(images(model))
    torch.testing.assert_close(model.pool(x), model.norm(x)[:, 0])


def test_the_same_seed_draws_the_same_weights():
    first, second = small(pos_embed="relative"), small(pos_embed="relative")
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pool", POOLS)
def test_autocast_treats_all_kinds_alike(kind, pool):
    model = small(pos_embed=kind, pool=pool)
    with torch.autocast("cpu", torch.bfloat16):
        assert model.embed(images(model)).dtype == torch.float32
        assert model(images(model)).dtype == torch.bfloat16


def test_the_forward_pass_leaves_its_input_alone():
    model = small(pool="mean")
    x = images(model)
    before = x.clone()
    model(x)
    assert torch.equal(x, before)
