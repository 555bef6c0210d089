"""Attention against torch's own module, plain arithmetic and the hand-worked example of issue 3."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from vitbench.config import ViTConfig
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


def test_hand_worked_example():
    """Issue 3's example is unscaled with 3-wide heads: a fourth channel of zeros, and doubled queries against 1/√4."""
    x = torch.tensor([[1, 0, 1, 0], [0, 2, 0, 2], [1, 1, 1, 1]], dtype=torch.float64)
    w_k = torch.tensor([[0, 0, 1], [1, 1, 0], [0, 1, 0], [1, 1, 0]], dtype=torch.float64)
    w_q = torch.tensor([[1, 0, 1], [1, 0, 0], [0, 0, 1], [0, 1, 1]], dtype=torch.float64)
    w_v = torch.tensor([[0, 2, 0], [0, 3, 0], [1, 0, 3], [1, 1, 0]], dtype=torch.float64)
    attn = Attention(4, 1, qkv_bias=False).double()
    attn.qkv.weight.data = torch.cat([nn.functional.pad(w, (0, 1)).T for w in (2 * w_q, w_k, w_v)])
    attn.proj.weight.data, attn.proj.bias.data = torch.eye(4, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)
    weights = torch.tensor(
        [
            [6.3379e-02, 4.6831e-01, 4.6831e-01],
            [6.0337e-06, 9.8201e-01, 1.7986e-02],
            [2.9539e-04, 8.8054e-01, 1.1917e-01],
        ],
        dtype=torch.float64,
    )
    values = torch.tensor([[1, 2, 3], [2, 8, 0], [2, 6, 3]], dtype=torch.float64)
    torch.testing.assert_close(attn(x[None])[0, :, :3], weights @ values, rtol=2e-5, atol=1e-4)


def test_dropout_of_the_weights_acts_in_training_only(x):
    attn = Attention(16, 2, attn_drop_rate=0.5).double()
    assert not torch.equal(attn(x), attn(x))
    attn.eval()
    torch.testing.assert_close(attn(x), plain_attention(attn, x))


def test_half_precision_keeps_its_type(x):
    for attn in (
        Attention(16, 2, rel_pos=RelativeBias(GRID)),
        Attention(16, 2, rope=Rope(GRID)),
    ):
        assert attn.bfloat16()(x.bfloat16()).dtype == torch.bfloat16
        with torch.autocast("cpu", torch.bfloat16):
            assert attn.float()(x.float()).dtype == torch.bfloat16
