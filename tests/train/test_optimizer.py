from __future__ import annotations

import pytest
import torch
from torch import nn

from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.train import TrainConfig
from vitbench.declare.vit import ViTConfig
from vitbench.models import build
from vitbench.train.optimizer import adamw, parameter_groups

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
