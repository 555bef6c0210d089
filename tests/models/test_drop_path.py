"""Stochastic depth: exact when off, one draw a sample, the expectation kept."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vitbench.models.drop_path import DropPath, drop_path_rates


def test_exact_at_rate_0_and_in_eval():
    x = torch.randn(4, 3, 2)
    assert DropPath(0.0)(x) is x
    assert DropPath(0.9).eval()(x) is x


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_drops_whole_samples_and_keeps_the_expectation(rate):
    torch.manual_seed(0)
    samples = 20_000
    x = torch.rand(1, 3, 2, dtype=torch.float64).expand(samples, -1, -1) + 1
    out = DropPath(rate)(x)
    kept = out[:, 0, 0] != 0
    torch.testing.assert_close(out[kept], x[kept] / (1 - rate))
    assert not out[~kept].any()
    four_sigma = 4 * (rate * (1 - rate) / samples) ** 0.5
    assert kept.double().mean().item() == pytest.approx(1 - rate, abs=four_sigma)


def test_the_gradient_is_that_of_the_kept_samples():
    torch.manual_seed(0)
    x = torch.ones(64, 2, requires_grad=True)
    out = DropPath(0.5)(x)
    out.sum().backward()
    assert torch.equal(x.grad, out.detach())


@given(st.floats(0, 0.99), st.integers(1, 30))
def test_linear_rule_climbs_evenly_from_0_to_the_rate(rate, depth):
    rates = drop_path_rates(rate, depth, "linear")
    assert rates == pytest.approx([rate * i / max(depth - 1, 1) for i in range(depth)])
    assert drop_path_rates(rate, depth, "constant") == [rate] * depth


def test_rates_are_numbers_under_the_meta_device():
    with torch.device("meta"):
        assert drop_path_rates(0.2, 3, "linear") == pytest.approx([0, 0.1, 0.2])
