"""Norms against their formulas."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from vitbench.declare.vit import Norm
from vitbench.models.norm import NORMS

EPS = 0.1


def over(dims, *, centred=True):
    def norm(x):
        x = x - x.mean(dims, keepdim=True) if centred else x
        return x / (x.square().mean(dims, keepdim=True) + EPS).sqrt()

    return norm


FORMULAS = {"layernorm": over(-1), "rmsnorm": over(-1, centred=False), "batchnorm": over((0, 1))}


def test_every_word_of_the_config_has_its_row():
    assert set(NORMS) == set(get_args(Norm)) == set(FORMULAS)


@pytest.mark.parametrize("word", get_args(Norm))
def test_norms_are_their_formulas(word):
    torch.manual_seed(0)
    norm = NORMS[word](6, EPS).double()
    norm.weight.data = torch.randn(6, dtype=torch.float64)
    x = 3 + torch.randn(2, 5, 6, dtype=torch.float64)
    shift = getattr(norm, "bias", None)
    torch.testing.assert_close(norm(x), FORMULAS[word](x) * norm.weight + (0 if shift is None else shift))


@pytest.mark.parametrize("word", get_args(Norm))
def test_in_evaluation_a_token_sees_no_other(word):
    norm = NORMS[word](6, EPS)
    norm(torch.randn(2, 5, 6))
    x = torch.randn(2, 5, 6)
    torch.testing.assert_close(norm.eval()(x)[:, :1], norm(x[:, :1]))
