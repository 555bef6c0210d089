"""Position embeddings against plain loops of their formulas and the invariants they exist for."""

from __future__ import annotations

import cmath
import itertools
import math
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vitbench.declare.vit import PosEmbed, ViTConfig
from vitbench.models.pos_embed import (
    POSITIONS,
    Learned2d,
    RelativeBias,
    Rope,
    learned_table,
    sincos1d_table,
    sincos2d_table,
)

grids = st.tuples(st.integers(1, 5), st.integers(1, 5))


def config_of(grid, *, dim=16, heads=2, pool="cls"):
    return ViTConfig(img_size=grid, patch_size=1, embed_dim=dim, num_heads=heads, pool=pool)


def places(grid):
    """(row, column) in reading order."""
    return list(itertools.product(range(grid[0]), range(grid[1])))


def test_every_word_of_the_config_has_its_row():
    assert set(POSITIONS) == set(get_args(PosEmbed))


@given(grids, st.sampled_from(["cls", "mean"]))
def test_learned_table_has_timms_shape(grid, pool):
    assert learned_table(config_of(grid, pool=pool)).shape == (1, grid[0] * grid[1] + (pool == "cls"), 16)


@given(grids, st.sampled_from([4, 8, 32]))
def test_sincos2d_is_simplevits_formula(grid, dim):
    table = sincos2d_table(config_of(grid, dim=dim))
    assert table.shape == (1, 1 + len(places(grid)), dim)
    assert not table[0, 0].any()
    quarter = dim // 4
    omegas = [10_000 ** -(i / (quarter - 1)) if quarter > 1 else 1.0 for i in range(quarter)]
    for vector, (row, column) in zip(table[0, 1:], places(grid), strict=True):
        expected = [f(at * omega) for at in (column, row) for f in (math.sin, math.cos) for omega in omegas]
        torch.testing.assert_close(vector, torch.tensor(expected), rtol=1e-5, atol=1e-5)


@given(grids, st.sampled_from([2, 6, 16]))
def test_sincos1d_is_the_formula_of_2017(grid, dim):
    table = sincos1d_table(config_of(grid, dim=dim))[0]
    assert not table[0].any()
    for place, vector in enumerate(table[1:]):
        angles = [place / 10_000 ** (2 * (i // 2) / dim) for i in range(dim)]
        expected = [math.cos(a) if i % 2 else math.sin(a) for i, a in enumerate(angles)]
        torch.testing.assert_close(vector, torch.tensor(expected), rtol=1e-4, atol=1e-5)


@given(grids, st.sampled_from(["cls", "mean"]))
def test_learned2d_joins_a_column_and_a_row(grid, pool):
    module = Learned2d(config_of(grid, pool=pool))
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    table = module()[0]
    prefix = int(pool == "cls")
    assert (module.prefix is not None) == prefix
    assert torch.equal(table[:prefix], module.prefix) if prefix else len(table) == grid[0] * grid[1]
    for vector, (row, column) in zip(table[prefix:], places(grid), strict=True):
        assert torch.equal(vector, torch.cat((module.columns[column], module.rows[row])))


def test_sincos2d_tells_all_patches_apart():
    table = sincos2d_table(config_of((14, 14), dim=64, pool="mean"))[0]
    assert torch.cdist(table, table).fill_diagonal_(torch.inf).min() > 0.1


@given(grids, st.sampled_from(["cls", "mean"]))
def test_relative_bias_sees_the_offset_and_nothing_else(grid, pool):
    bias = RelativeBias(config_of(grid, heads=1, pool=pool))
    table = bias.relative_position_bias_table
    table.data = torch.arange(len(table), dtype=torch.float32)[:, None]
    prefix = int(pool == "cls")
    scores = bias().detach()[0]

    by_offset = {}
    for (i, query), (j, key) in itertools.product(enumerate(places(grid)), repeat=2):
        offset = (query[0] - key[0], query[1] - key[1])
        by_offset.setdefault(offset, set()).add(scores[prefix + i, prefix + j].item())
    assert all(len(values) == 1 for values in by_offset.values())  # one value an offset
    entries = [values.pop() for values in by_offset.values()]
    assert len(set(entries)) == len(entries) == (2 * grid[0] - 1) * (2 * grid[1] - 1)  # a value of its own
    if prefix:
        own = [scores[0, 1:].unique().tolist(), scores[1:, 0].unique().tolist(), [scores[0, 0].item()]]
        assert all(len(values) == 1 for values in own)
        entries += [value for values in own for value in values]
    assert sorted(entries) == list(range(len(table)))  # every entry of the table is in use


@given(grids, st.sampled_from(["cls", "mean"]), st.integers(0, 2**31))
def test_rope_turns_channel_pairs_by_row_and_column(grid, pool, seed):
    torch.manual_seed(seed)
    config = config_of(grid, dim=16, heads=1, pool=pool)
    prefix = config.num_prefix_tokens
    qk = torch.randn(1, prefix + config.num_patches, 2, 1, 16, dtype=torch.float64)
    turned = Rope(config).double()(qk)
    assert torch.equal(turned[:, :prefix], qk[:, :prefix])
    for token, (row, column) in enumerate(places(grid), prefix):
        for pair in range(8):
            angle = (column if pair < 4 else row) * 100 ** -(pair % 4 / 4)
            before = complex(qk[0, token, 0, 0, pair], qk[0, token, 0, 0, pair + 8])
            after = complex(turned[0, token, 0, 0, pair], turned[0, token, 0, 0, pair + 8])
            assert after == pytest.approx(before * cmath.exp(1j * angle), abs=1e-5)


@given(grids, st.integers(0, 2**31))
def test_rope_scores_depend_on_the_offset_only(grid, seed):
    torch.manual_seed(seed)
    config = config_of(grid, dim=8, heads=1, pool="mean")
    same_everywhere = torch.randn(2, 8, dtype=torch.float64).expand(1, config.num_patches, 2, 8)[:, :, :, None]
    q, k = Rope(config).double()(same_everywhere)[0, :, :, 0].unbind(1)
    scores = q @ k.T
    by_offset = {}
    for (i, query), (j, key) in itertools.product(enumerate(places(grid)), repeat=2):
        by_offset.setdefault((query[0] - key[0], query[1] - key[1]), []).append(scores[i, j].item())
    assert max(max(values) - min(values) for values in by_offset.values()) < 1e-5
    assert q.norm(dim=-1).tolist() == pytest.approx([q[0].norm().item()] * len(q), abs=1e-5)
