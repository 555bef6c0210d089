"""Feed-forward layers against their formulas."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch

from vitbench.declare.vit import Act, ViTConfig
from vitbench.models.mlp import ACTIVATIONS, Mlp, SwiGLU, build_mlp

FORMULAS = {
    "gelu": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
    "gelu_tanh": lambda x: x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2,
    "relu": lambda x: max(x, 0),
    "silu": lambda x: x / (1 + math.exp(-x)),
}


def test_every_word_of_the_config_has_its_row():
    assert set(ACTIVATIONS) == set(get_args(Act)) == set(FORMULAS)


@pytest.mark.parametrize("act", get_args(Act))
def test_activations_are_their_formulas(act):
    x = torch.linspace(-4, 4, 33, dtype=torch.float64)
    mlp = build_mlp(ViTConfig(embed_dim=4, num_heads=1, act=act))
    assert mlp.act(x).tolist() == pytest.approx([FORMULAS[act](value) for value in x.tolist()], abs=1e-12)


def test_swiglu_is_shazeers_formula():
    torch.manual_seed(0)
    layer = SwiGLU(4, 6).double()
    x = torch.randn(2, 3, 4, dtype=torch.float64)
    gate, value = (x @ part.weight.T + part.bias for part in (layer.fc1_g, layer.fc1_x))
    expected = (gate * gate.sigmoid() * value) @ layer.fc2.weight.T + layer.fc2.bias
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("layer", [Mlp(4, 64, 0.5), SwiGLU(4, 64, 0.5)])
def test_dropout_acts_in_training_only(layer):
    x = torch.randn(2, 4)
    assert not torch.equal(layer.train()(x), layer(x))
    assert torch.equal(layer.eval()(x), layer(x))
