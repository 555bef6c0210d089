"""Attention against torch's own module, plain arithmetic and the hand-worked example of issue 3."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from vitbench.declare.vit import ViTConfig
from vitbench.models.attention import Attention
from vitbench.models.pos_embed import RelativeBias, Rope

GRID = ViTConfig(img_size=(4, 6), patch_size=2, embed_dim=16, num_heads=2, pool="cls")  # 2×3 patches, 1 class token


def plain_attention(attn, x, *, bias=0.0, rotate=lambda t: t):
    """softmax(q kᵀ/√d + bias) v, one head at a time, nothing fused."""
    batch, tokens, dim = x.shape
    head_dim = dim // attn.num_heads
    q, k, v = (x @ attn.qkv.weight.T + attn.qkv.bias).split(dim, dim=-1)
    out = torch.empty(batch, tokens, dim, dtype=x.dtype)
    for head in range(attn.num_heads):
        part = slice(head * head_dim, (head + 1) * head_dim)
        scores = rotate(q[..., part]) @ rotate(k[..., part]).transpose(1, 2) / math.sqrt(head_dim)
        scores = scores + (bias if isinstance(bias, float) else bias[head])
        out[..., part] = scores.softmax(-1) @ v[..., part]
    return out @ attn.proj.weight.T + attn.proj.bias


@pytest.fixture
def x():
    return torch.randn(2, 7, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_equals_torch_multihead_attention(x, heads):
    torch.manual_seed(0)
    ours = Attention(16, heads).double()
    theirs = nn.MultiheadAttention(16, heads, batch_first=True).double()
    theirs.in_proj_weight.data, theirs.in_proj_bias.data = ours.qkv.weight.data, ours.qkv.bias.data
    theirs.out_proj.load_state_dict(ours.proj.state_dict())
    mask = torch.ones(2, 7, dtype=torch.bool)
    mask[0, 4:] = False
    expected = theirs(x, x, x, need_weights=False)[0]
    padded = theirs(x, x, x, key_padding_mask=~mask, need_weights=False)[0]
    torch.testing.assert_close(ours(x), expected)
    torch.testing.assert_close(ours(x, mask), padded)


def test_relative_bias_is_added_to_the_scores(x):
    torch.manual_seed(0)
    attn = Attention(16, 2, rel_pos=RelativeBias(GRID)).double()
    nn.init.normal_(attn.rel_pos.relative_position_bias_table)
    torch.testing.assert_close(attn(x), plain_attention(attn, x, bias=attn.rel_pos()))


def test_relative_bias_and_padding_together(x):
    torch.manual_seed(0)
    attn = Attention(16, 2, rel_pos=RelativeBias(GRID)).double()
    nn.init.normal_(attn.rel_pos.relative_position_bias_table)
    mask = torch.tensor([True] * 5 + [False] * 2).expand(2, -1)
    bias = attn.rel_pos().clone()
    bias[:, :, 5:] = -torch.inf
    torch.testing.assert_close(attn(x, mask), plain_attention(attn, x, bias=bias))


def test_rope_rotates_queries_and_keys_and_not_values(x):
    torch.manual_seed(0)
    rope = Rope(GRID).double()
    attn = Attention(16, 2, rope=rope).double()

    def rotate(part):
        return rope(part[:, :, None, None].expand(-1, -1, 2, 1, -1))[:, :, 0, 0]

    torch.testing.assert_close(attn(x), plain_attention(attn, x, rotate=rotate))


@given(tokens=st.integers(1, 6), padding=st.integers(1, 5), seed=st.integers(0, 2**31))
def test_a_padded_sequence_equals_the_unpadded_one(tokens, padding, seed):
    torch.manual_seed(seed)
    attn = Attention(8, 2).double()
    x = torch.randn(2, tokens + padding, 8, dtype=torch.float64)
    x[:, tokens:] *= 1e3  # whatever the padding holds
    mask = (torch.arange(tokens + padding) < tokens).expand(2, -1)
    torch.testing.assert_close(attn(x, mask)[:, :tokens], attn(x[:, :tokens]))


@pytest.mark.parametrize("eager", [False, True])
def test_hand_worked_example(eager):
    """Issue 3's example has 3-wide heads, which a fourth channel of zeros leaves alone, and unscaled scores."""
    x = torch.tensor([[1, 0, 1, 0], [0, 2, 0, 2], [1, 1, 1, 1]], dtype=torch.float64)
    w_k = torch.tensor([[0, 0, 1], [1, 1, 0], [0, 1, 0], [1, 1, 0]], dtype=torch.float64)
    w_q = torch.tensor([[1, 0, 1], [1, 0, 0], [0, 0, 1], [0, 1, 1]], dtype=torch.float64)
    w_v = torch.tensor([[0, 2, 0], [0, 3, 0], [1, 0, 3], [1, 1, 0]], dtype=torch.float64)
    attn = Attention(4, 1, qkv_bias=False, scale=1.0, eager=eager).double()
    attn.qkv.weight.data = torch.cat([nn.functional.pad(w, (0, 1)).T for w in (w_q, w_k, w_v)])
    attn.proj.weight.data, attn.proj.bias.data = torch.eye(4, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)
    weights = torch.tensor(
        [
            [6.3379e-02, 4.6831e-01, 4.6831e-01],
            [6.0337e-06, 9.8201e-01, 1.7986e-02],
            [2.9539e-04, 8.8054e-01, 1.1917e-01],
        ],
        dtype=torch.float64,
    )
    scores = torch.tensor([[2, 4, 4], [4, 16, 12], [4, 12, 10]], dtype=torch.float64)
    values = torch.tensor([[1, 2, 3], [2, 8, 0], [2, 6, 3]], dtype=torch.float64)
    seen = attn.with_weights(x[None])[1]
    torch.testing.assert_close(seen[0, 0], weights, rtol=5e-5, atol=0)
    torch.testing.assert_close(seen[0, 0], scores.softmax(-1))
    torch.testing.assert_close(attn(x[None])[0, :, :3], weights @ values, rtol=2e-5, atol=1e-4)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("qk_norm", [None, "layernorm", "rmsnorm", "batchnorm"])
@pytest.mark.parametrize("position", ["none", "relative", "rope"])
def test_fused_and_written_out_are_equal_and_weights_sum_to_1(x, position, qk_norm, causal, padded):
    torch.manual_seed(0)
    position = {"none": {}, "relative": {"rel_pos": RelativeBias(GRID)}, "rope": {"rope": Rope(GRID)}}[position]
    fused = Attention(16, 2, qk_norm=qk_norm, causal=causal, scale=0.7, **position).double().eval()
    for parameter in fused.parameters():
        nn.init.normal_(parameter)
    eager = Attention(16, 2, qk_norm=qk_norm, causal=causal, scale=0.7, eager=True, **position).double().eval()
    eager.load_state_dict(fused.state_dict())
    mask = torch.tensor([[False, *[True] * 6], [True] * 5 + [False] * 2]) if padded else None
    out, weights = fused.with_weights(x, mask)
    torch.testing.assert_close(out, fused(x, mask))
    torch.testing.assert_close(eager(x, mask), fused(x, mask))
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 7, dtype=torch.float64))
    if causal:
        assert not weights.triu(1).any()
    if padded:
        assert not weights[1, :, :5, 5:].any()
        assert not weights[0, :, 1:, 0].any()


def test_queries_and_keys_are_normed_per_head_and_values_are_not(x):
    torch.manual_seed(0)
    attn = Attention(16, 2, qk_norm="layernorm").double()
    rotate = lambda part: nn.functional.layer_norm(part, (8,), eps=1e-6)  # noqa: E731
    torch.testing.assert_close(attn(x), plain_attention(attn, x, rotate=rotate))


def test_dropout_of_the_weights_acts_in_training_only(x):
    attn = Attention(16, 2, attn_drop_rate=0.5).double()
    assert not torch.equal(attn(x), attn(x))
    attn.eval()
    torch.testing.assert_close(attn(x), plain_attention(attn, x))


def test_half_precision_keeps_its_type(x):
    for attn in (
        Attention(16, 2, rel_pos=RelativeBias(GRID)),
        Attention(16, 2, rope=Rope(GRID)),
        Attention(16, 2, rope=Rope(GRID), qk_norm="rmsnorm", causal=True),
        Attention(16, 2, rel_pos=RelativeBias(GRID), qk_norm="layernorm", eager=True),
    ):
        assert attn.bfloat16()(x.bfloat16()).dtype == torch.bfloat16
        with torch.autocast("cpu", torch.bfloat16):
            assert attn.float()(x.float()).dtype == torch.bfloat16
