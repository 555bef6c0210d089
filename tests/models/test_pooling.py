"""Attention pooling against torch's attention with one query."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vitbench.declare.vit import ViTConfig
from vitbench.models.pooling import AttentionPool


@pytest.mark.parametrize("padded", [False, True])
def test_equals_torch_multihead_attention_and_a_residual_mlp(padded):
    torch.manual_seed(0)
    pool = AttentionPool(ViTConfig(embed_dim=16, num_heads=2, pool="map")).double()
    nn.init.normal_(pool.latent)
    theirs = nn.MultiheadAttention(16, 2, batch_first=True).double()
    theirs.in_proj_weight.data = torch.cat((pool.q.weight, pool.kv.weight))
    theirs.in_proj_bias.data = torch.cat((pool.q.bias, pool.kv.bias))
    theirs.out_proj.load_state_dict(pool.proj.state_dict())
    x = torch.randn(3, 7, 16, dtype=torch.float64)
    mask = torch.tensor([[True] * 5 + [False] * 2] * 3) if padded else None
    query = pool.latent.expand(3, -1, -1)
    seen = theirs(query, x, x, key_padding_mask=None if mask is None else ~mask, need_weights=False)[0][:, 0]
    torch.testing.assert_close(pool(x, mask), seen + pool.mlp(pool.norm(seen)))


def test_names_are_timms():
    names = {name.rpartition(".")[0] for name in AttentionPool(ViTConfig(embed_dim=16, num_heads=2)).state_dict()}
    assert names == {"", "q", "kv", "proj", "norm", "mlp.fc1", "mlp.fc2"}
