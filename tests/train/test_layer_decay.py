"""Which layer a parameter is in, and what its learning rate becomes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.train import TrainConfig
from vitbench.declare.vit import ViTConfig
from vitbench.models import build
from vitbench.train.layer_decay import layers_above
from vitbench.train.optimizer import adamw, set_rate
from vitbench.utils.errors import UserError

VIT = {"img_size": 32, "patch_size": 16, "num_classes": 3, "embed_dim": 32, "depth": 3, "num_heads": 2}


def _above(config) -> dict[str, int]:
    with torch.device("meta"):
        return layers_above(name for name, _ in build(config).named_parameters())


@pytest.mark.parametrize("more", [{}, {"distilled": True, "num_registers": 2}, {"pool": "map"}, {"stem": "hybrid"}])
def test_a_transformers_layers_are_mae_s(more):
    """MAE's ``get_layer_id_for_vit``: tokens, positions and patches 0, block i i + 1, all else depth + 1."""
    for name, above in _above(ViTConfig(**VIT, **more)).items():
        if name.startswith(("cls_token", "dist_token", "reg_token", "pos_embed", "patch_embed")):
            layer = 0
        else:
            layer = int(name.split(".")[1]) + 1 if name.startswith("blocks.") else VIT["depth"] + 1
        assert above == VIT["depth"] + 1 - layer, name


def test_a_resnets_blocks_are_layers_across_stages():
    above = _above(ResNetConfig(depth=18, width=4, num_classes=3))
    assert above["conv1.weight"] == above["bn1.bias"] == 9
    assert above["layer1.0.conv1.weight"] == 8
    assert above["layer2.0.downsample.0.weight"] == above["layer2.0.bn2.weight"] == 6
    assert above["layer4.1.bn2.weight"] == 1
    assert above["fc.weight"] == above["fc.bias"] == 0


def test_names_of_other_libraries():
    torchvision = ["class_token", "conv_proj.weight", "encoder.pos_embedding"]
    torchvision += [f"encoder.layers.encoder_layer_{i}.ln_1.weight" for i in range(2)]
    torchvision += ["encoder.ln.weight", "heads.head.bias"]
    assert list(layers_above(torchvision).values()) == [3, 3, 3, 2, 1, 0, 0]
    hugging_face = ["vit.embeddings.cls_token", *(f"vit.layers.{i}.mlp.fc1.weight" for i in range(2)), "head.bias"]
    assert list(layers_above(hugging_face).values()) == [3, 2, 1, 0]
    convnext = ["stem.0.weight", "stages.0.blocks.0.norm.bias", "stages.1.downsample.0.weight"]
    convnext += ["stages.1.blocks.0.norm.bias", "head.norm.bias"]
    assert list(layers_above(convnext).values()) == [3, 2, 1, 1, 0]


def test_a_model_without_layers_is_refused():
    with pytest.raises(UserError, match=r"layer_decay needs .* set layer_decay=1"):
        adamw(nn.Linear(2, 2), TrainConfig(layer_decay=0.7))


def test_rates_fall_by_the_decay_for_each_layer_above():
    model = build(ViTConfig(**VIT))
    optimizer = adamw(model, TrainConfig(layer_decay=0.5, weight_decay=0.3))
    set_rate(optimizer, 0.08)
    names = {id(p): name for name, p in model.named_parameters()}
    rates = {}
    for group in optimizer.param_groups:
        rates |= {names[id(p)]: (group["lr"], group["weight_decay"]) for p in group["params"]}
    assert rates["head.weight"] == (0.08, 0.3)
    assert rates["norm.bias"] == (0.08, 0.0)
    assert rates["blocks.2.mlp.fc1.weight"] == (0.04, 0.3)
    assert rates["blocks.0.norm1.bias"] == (0.01, 0.0)
    assert rates["patch_embed.proj.weight"] == (0.005, 0.3)
    assert rates["pos_embed"] == (0.005, 0.0)
    assert len(rates) == len(names)


def test_without_decay_the_groups_are_the_two_that_they_were():
    optimizer = adamw(build(ViTConfig(**VIT)), TrainConfig())
    assert len(optimizer.param_groups) == 2
    set_rate(optimizer, 0.3)
    assert [group["lr"] for group in optimizer.param_groups] == [0.3, 0.3]
