"""Attention made visible: weights against hand-worked and defining ones, distances and similarities in closed form."""

import itertools
import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.vit import ViTConfig
from vitbench.models import build
from vitbench.models.inspect import (
    attention_maps,
    mean_attention_distance,
    patch_distances,
    position_embedding_similarity,
    rollout,
)
from vitbench.utils.errors import UserError

SMALL = {"img_size": 8, "patch_size": 2, "in_chans": 1, "num_classes": 10, "embed_dim": 32, "depth": 2, "num_heads": 4}
POSITIONS = ("none", "learned", "sincos2d", "relative", "rope")


def vit(**rest):
    torch.manual_seed(0)
    model = build(ViTConfig(**{**SMALL, **rest}))
    for name, parameter in model.named_parameters():
        if "relative_position_bias_table" in name or name.startswith("pos_embed"):
            torch.nn.init.normal_(parameter)  # a bias of zeros would hide that it is left out
    return model


def images(count=3):
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("pos_embed", POSITIONS)
@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_rows_are_weights_that_give_the_attention_s_own_output(pos_embed, pool):
    """The independent truth: weights · values, projected, must be what each attention put out."""
    model = vit(pos_embed=pos_embed, pool=pool).double().eval()
    seen = []
    for block in model.blocks:
        block.attn.register_forward_hook(lambda _, x, y: seen.append((x[0], y)))
    maps = attention_maps(model, images().double())
    tokens = 16 + (pool == "cls")
    assert maps.shape == (2, 3, 4, tokens, tokens)
    np.testing.assert_allclose(maps.sum(axis=-1), 1, rtol=1e-5)
    assert (maps >= 0).all()
    for block, (x, y), weights in zip(model.blocks, seen, maps, strict=True):
        with torch.no_grad():
            v = block.attn.qkv(x)[..., -32:].unflatten(-1, (4, 8)).transpose(1, 2)
            mixed = (torch.from_numpy(weights).double() @ v).transpose(1, 2).flatten(2)
            torch.testing.assert_close(block.attn.proj(mixed), y, rtol=1e-4, atol=1e-5)


KNOBS = [
    {"attn_mask": "causal", "pool": "mean"},
    {"attn_mask": "causal", "pool": "mean", "pos_embed": "relative"},
    {"qk_norm": True, "qk_scale": 0.7, "pos_embed": "rope"},
    {"distilled": True, "num_registers": 3, "norm_position": "post"},
    {"pool": "map", "pos_embed": "learned2d", "pos_embed_at": "every_layer"},
]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("knobs", KNOBS, ids=lambda knobs: ",".join(f"{k}={v}" for k, v in knobs.items()))
def test_every_knob_s_maps_are_what_its_attention_says(attention, knobs):
    """Attention that returns its weights says the same, fused or not; the pooling's attention is no block's."""
    model = vit(attention=attention, **knobs).eval()
    seen = []
    for block in model.blocks:
        block.attn.register_forward_hook(lambda attn, x, _: seen.append(attn.with_weights(*x)[1]))
    with torch.no_grad():
        model(images())
    for block in model.blocks:
        block.attn._forward_hooks.clear()
    maps = attention_maps(model, images())
    assert maps.shape == (2, 3, 4, *[16 + model.config.num_prefix_tokens] * 2)
    np.testing.assert_allclose(maps, torch.stack(seen).numpy(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(maps.sum(axis=-1), 1, rtol=1e-5)


def test_the_hand_worked_softmax():
    """Two tokens, one head of two channels: q = (1, 0), (0, 2); k = (1, 0), (0, 1); scores q·k / √2."""
    model = vit(img_size=(2, 4), embed_dim=2, num_heads=1, depth=1, pos_embed="none", pool="mean", qkv_bias=True)
    attention = model.blocks[0].attn
    tokens = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    model.blocks[0].norm1 = torch.nn.Identity()
    model.patch_embed.register_forward_hook(lambda *_: tokens)
    with torch.no_grad():
        attention.qkv.weight.copy_(torch.tensor([[1, 0], [0, 2], [1, 0], [0, 1], [1, 0], [0, 1]]))
        attention.qkv.bias.zero_()
    a, b = math.exp(1 / math.sqrt(2)), math.exp(2 / math.sqrt(2))
    expected = [[a / (a + 1), 1 / (a + 1)], [1 / (b + 1), b / (b + 1)]]
    np.testing.assert_allclose(attention_maps(model, torch.zeros(1, 1, 2, 4))[0, 0, 0], expected, rtol=1e-6)


def test_zero_queries_attend_alike():
    model = vit(pos_embed="none")
    with torch.no_grad():
        for block in model.blocks:
            block.attn.qkv.weight[:32] = 0
            block.attn.qkv.bias[:32] = 0
    np.testing.assert_allclose(attention_maps(model, images()), 1 / 17, rtol=1e-6)


def test_without_positions_the_maps_follow_the_patches():
    """Patches in another order: rows and columns in that order."""
    model, x = vit(pos_embed="none", pool="mean"), images()
    order = torch.randperm(16, generator=torch.Generator().manual_seed(2))
    tiles = x.reshape(3, 1, 4, 2, 4, 2).permute(0, 1, 2, 4, 3, 5).flatten(2, 3)[:, :, order]
    shuffled = tiles.unflatten(2, (4, 4)).permute(0, 1, 2, 4, 3, 5).reshape(3, 1, 8, 8)
    maps = attention_maps(model, x)
    np.testing.assert_allclose(attention_maps(model, shuffled), maps[..., order, :][..., order], atol=1e-5)


def test_the_model_is_left_as_it_was():
    model = vit(drop_rate=0.5, attn_drop_rate=0.5)
    model.blocks[1].eval()
    modes = [m.training for m in model.modules()]
    state = torch.get_rng_state()
    one, two = attention_maps(model, images()), attention_maps(model, images())
    np.testing.assert_array_equal(one, two)
    assert [m.training for m in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(block.attn._forward_hooks or block.attn._forward_pre_hooks for block in model.blocks)


def test_a_wrong_image_leaves_no_hook():
    model = vit()
    with pytest.raises(UserError):
        attention_maps(model, torch.zeros(1, 1, 6, 6))
    assert model.training
    assert not any(block.attn._forward_hooks or block.attn._forward_pre_hooks for block in model.blocks)


@pytest.mark.parametrize("other", [ResNetConfig(depth=18, num_classes=2, width=4, stem="cifar", img_size=8)])
def test_a_model_without_attention_is_said_so(other):
    with pytest.raises(UserError, match="the attention of ResNet cannot be observed"):
        attention_maps(build(other), torch.zeros(2, 3, 8, 8))


class Written(torch.nn.Module):
    """Attention written out by hand, and the same one fused: causal, with a scale of its own and a bias."""

    def __init__(self, *, fused, how):
        super().__init__()
        self.fused, self.how = fused, how

    def forward(self, x):
        q, k, v = x, x.flip(1), x
        bias = torch.linspace(-1, 1, x.shape[2] ** 2).reshape(x.shape[2], -1)
        causal = torch.ones(x.shape[2], x.shape[2], dtype=torch.bool).tril()
        if self.fused:
            settings = {"causal": {"is_causal": True}, "mask": {"attn_mask": causal}, "bias": {"attn_mask": bias}}
            return torch.nn.functional.scaled_dot_product_attention(q, k, v, scale=0.3, **settings[self.how])
        scores = q @ k.transpose(-2, -1) * 0.3
        scores = scores + bias if self.how == "bias" else scores.masked_fill(~causal, -math.inf)
        return scores.softmax(dim=-1) @ v


class OneBlock(torch.nn.Module):
    def __init__(self, attention):
        super().__init__()
        self.blocks = torch.nn.ModuleList([torch.nn.ModuleDict({"attn": attention})])

    def forward(self, x):
        out = self.blocks[0]["attn"](x.reshape(2, 2, 8, 4))
        return torch.softmax(out, dim=-1)  # one that belongs to no attention


@pytest.mark.parametrize("how", ["causal", "mask", "bias"])
def test_fused_and_written_out_attention_show_the_same(how):
    fused, written = (OneBlock(Written(fused=fused, how=how)) for fused in (True, False))
    maps = attention_maps(fused, images(2))
    np.testing.assert_allclose(maps, attention_maps(written, images(2)), rtol=1e-5, atol=1e-7)
    if how != "bias":
        assert (np.triu(maps[0, 0, 0], 1) == 0).all()


# --- rollout -------------------------------------------------------------------------------------------------------


@given(st.integers(1, 5), st.integers(1, 6))
def test_rollout_of_uniform_attention(layers, tokens):
    """U² = U, so (½U + ½I)^L = (1 - 2^-L) U + 2^-L I."""
    maps = np.full((layers, 2, 3, tokens, tokens), 1 / tokens, dtype=np.float64)
    kept = 0.5**layers
    expected = (1 - kept) / tokens + kept * np.eye(tokens)
    np.testing.assert_allclose(rollout(maps), np.broadcast_to(expected, (2, tokens, tokens)), rtol=1e-12)


def test_rollout_goes_from_the_first_layer_to_the_last():
    """Layer 1: token 0 reads token 1; layer 2: token 2 reads token 0. So 2 reaches 1 through 0, a quarter."""
    first, second = np.eye(3), np.eye(3)
    first[0], second[2] = [0, 1, 0], [1, 0, 0]
    through = rollout(np.stack([first, second])[:, None, None])[0]
    np.testing.assert_allclose(through, [[0.5, 0.5, 0], [0, 1, 0], [0.25, 0.25, 0.5]])


def test_rollout_averages_heads_and_keeps_rows_at_1():
    maps = attention_maps(vit(), images())
    np.testing.assert_allclose(rollout(maps).sum(axis=-1), 1, rtol=1e-5)
    np.testing.assert_allclose(rollout(maps), rollout(maps[:, :, ::-1]), rtol=1e-6)


# --- distance ------------------------------------------------------------------------------------------------------


def closed_form(grid, patch):
    """Mean distance of two patches drawn alike: an offset of i rows happens 2 (rows - i) times, 0 rows `rows` times."""
    sides = [[(i, (2 if i else 1) * (side - i)) for i in range(side)] for side in grid]
    pairs = itertools.product(*sides)
    return sum(m * n * math.hypot(i * patch[0], j * patch[1]) for (i, m), (j, n) in pairs) / math.prod(grid) ** 2


@given(st.tuples(st.integers(1, 5), st.integers(1, 5)), st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_distance_of_uniform_attention(grid, patch):
    tokens = math.prod(grid) + 2
    maps = np.full((1, 2, 3, tokens, tokens), 1 / tokens)
    expected = closed_form(grid, patch)
    np.testing.assert_allclose(mean_attention_distance(maps, grid, 2, patch), np.full((1, 3), expected), atol=1e-12)
    assert patch_distances(grid, patch).mean() == pytest.approx(expected)


def test_distance_worked_by_hand():
    """Four patches of 4 px in a square: 0, 4, 4 and 4√2 px away, in any order."""
    uniform = np.full((1, 1, 1, 4, 4), 0.25)
    assert mean_attention_distance(uniform, (2, 2), 0, 4)[0, 0] == pytest.approx((8 + 4 * math.sqrt(2)) / 4)


def test_distance_of_attention_to_oneself_and_to_the_neighbour():
    identity = np.broadcast_to(np.eye(6), (2, 3, 1, 6, 6))
    neighbour = np.broadcast_to(np.eye(6)[[1, 0, 3, 2, 5, 4]], (2, 3, 1, 6, 6))
    maps = np.concatenate((identity, neighbour), axis=2)
    np.testing.assert_array_equal(mean_attention_distance(maps, (3, 2), 0, 8), [[0, 8], [0, 8]])


def test_what_goes_to_the_class_token_does_not_count():
    """Half to the class token, half to the other patch: 8 px; all to the class token: no distance, and no warning."""
    half = [[1, 0, 0], [0.5, 0, 0.5], [0.5, 0.5, 0]]
    nothing = [[1, 0, 0], [1, 0, 0], [1, 0, 0]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = mean_attention_distance(np.array([[[half, nothing]]]), (1, 2), 1, 8)
    np.testing.assert_array_equal(found, [[8, np.nan]])


# --- positions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pos_embed", ["learned", "learned2d", "sincos1d", "sincos2d", "rope"])
@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_similarity_is_symmetric_with_ones_on_the_diagonal(pos_embed, pool):
    found = position_embedding_similarity(vit(pos_embed=pos_embed, pool=pool, img_size=(8, 4)))
    assert found.shape == (4, 2, 4, 2)
    flat = found.reshape(8, 8)
    np.testing.assert_allclose(flat, flat.T, atol=1e-12)
    np.testing.assert_allclose(np.diag(flat), 1, rtol=1e-6)
    assert np.abs(flat).max() <= 1 + 1e-6


def test_similarity_of_sincos_depends_on_the_offset_alone_and_in_closed_form():
    """sin a sin b + cos a cos b = cos(a - b): the mean cosine of ω Δx and ω Δy over the frequencies."""
    found = position_embedding_similarity(vit(pos_embed="sincos2d"))
    omega = 10_000.0 ** -(np.arange(8) / 7)
    for i, j, k, m in itertools.product(range(4), repeat=4):
        expected = (np.cos(omega * (i - k)).mean() + np.cos(omega * (j - m)).mean()) / 2
        assert found[i, j, k, m] == pytest.approx(expected, abs=1e-5)


def test_similarity_of_rope_is_the_mean_cosine_of_the_turn():
    found = position_embedding_similarity(vit(pos_embed="rope"))
    omega = 100.0 ** -(np.arange(2) / 2)
    expected = (np.cos(omega * 1).mean() + np.cos(omega * 3).mean()) / 2
    assert found[1, 3, 2, 0] == pytest.approx(expected, abs=1e-6)


def test_similarity_of_a_learned_table_leaves_out_the_class_token():
    model = vit(pos_embed="learned")
    table = model.pos_embed.detach()[0, 1:].double()
    found = position_embedding_similarity(model)
    assert found[0, 1, 2, 3] == pytest.approx(torch.cosine_similarity(table[1], table[11], dim=0).item())


def test_similarity_of_rows_and_columns_is_a_cross():
    """learned2d: patches of one row share half of the squared length, others next to nothing of it."""
    model = vit(pos_embed="learned2d", embed_dim=512, num_heads=4, num_registers=2)
    found = position_embedding_similarity(model)
    assert found[1, 2, 1, 0] == pytest.approx(0.5, abs=0.15)
    assert found[1, 2, 3, 2] == pytest.approx(0.5, abs=0.15)
    assert found[1, 2, 3, 0] == pytest.approx(0, abs=0.2)


@pytest.mark.parametrize("pos_embed", ["none", "relative"])
def test_no_vectors_no_similarity(pos_embed):
    assert position_embedding_similarity(vit(pos_embed=pos_embed)) is None
