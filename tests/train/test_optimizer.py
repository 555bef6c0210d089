from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.train import TrainConfig
from vitbench.declare.vit import ViTConfig
from vitbench.models import build
from vitbench.train.optimizer import adamw, learning_rate, parameter_groups

VIT = ViTConfig(img_size=8, patch_size=4, in_chans=1, num_classes=3, embed_dim=8, depth=1, num_heads=2)


def _names(model: nn.Module, group: dict) -> set[str]:
    ids = {id(p) for p in group["params"]}
    return {name for name, p in model.named_parameters() if id(p) in ids}


@pytest.mark.parametrize("pos_embed", ["learned", "none", "sincos2d", "relative", "rope"])
def test_decay_falls_on_matrices_and_kernels_alone(pos_embed):
    model = build(ViTConfig(**{**vars(VIT), "pos_embed": pos_embed}))
    decayed, spared = parameter_groups(model, 0.05)
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.05, 0.0)
    expected = {"patch_embed.proj.weight", "head.weight"} | {
        f"blocks.0.{name}.weight" for name in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
    }
    assert _names(model, decayed) == expected
    assert _names(model, decayed) | _names(model, spared) == {name for name, _ in model.named_parameters()}


def test_a_resnets_norms_are_spared():
    config = ResNetConfig(depth=None, layers=(1,), block="basic", width=4, stem="cifar", img_size=8, in_chans=1)
    model = build(config)
    decayed, _ = parameter_groups(model, 0.05)
    assert _names(model, decayed) == {name for name, p in model.named_parameters() if p.ndim > 1}


def test_a_model_of_somebody_else_and_frozen_parameters():
    model = nn.Linear(3, 2)
    model.bias.requires_grad_(False)
    decayed, spared = parameter_groups(model, 0.1)
    assert decayed["params"] == [model.weight]
    assert spared["params"] == []


def test_a_step_is_adamws_closed_form():
    """First step of AdamW: the moments' bias correction leaves the sign of the gradient, decay is decoupled."""
    model = nn.Linear(1, 1)
    nn.init.constant_(model.weight, 2.0)
    nn.init.constant_(model.bias, 3.0)
    config = TrainConfig(lr=0.1, weight_decay=0.5)
    optimizer = adamw(model, config)
    model(torch.ones(1, 1)).sum().backward()
    optimizer.step()
    assert model.weight.item() == pytest.approx(2 * (1 - 0.1 * 0.5) - 0.1)
    assert model.bias.item() == pytest.approx(3 - 0.1)


def test_the_schedule_by_hand():
    config = TrainConfig(lr=1.0, warmup_fraction=0.25)
    rates = [learning_rate(step, 16, config) for step in range(16)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[10] == pytest.approx(0.5)
    assert rates[15] == pytest.approx(0.5 * (1 + math.cos(math.pi * 11 / 12)))


@given(st.integers(1, 500), st.floats(0, 0.99), st.floats(1e-5, 1.0))
def test_the_rate_rises_to_lr_once_and_falls_towards_zero(steps, warmup_fraction, lr):
    config = TrainConfig(lr=lr, warmup_fraction=warmup_fraction)
    rates = [learning_rate(step, steps, config) for step in range(steps)]
    peak = rates.index(max(rates))
    assert all(0 < rate <= lr for rate in rates)
    assert rates == sorted(rates[: peak + 1]) + sorted(rates[peak + 1 :], reverse=True)
