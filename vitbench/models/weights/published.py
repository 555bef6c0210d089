"""Finds the published model that a config describes, except for what no tensor shows."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from vitbench.declare.model import ModelConfig
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.sizes import as_pair
from vitbench.declare.vit import ViTConfig
from vitbench.declare.zoo import names, zoo

HEAD_SIZE = 64
"""Channels of a head where a file does not show them: as in all models of the ViT paper and DeiT except ViT-H."""


def usual_heads(embed_dim: int, depth: int) -> tuple[int, str]:
    """The number of heads of the published model of this size, else with 64 channels each; and the reason, in words."""
    for name, config in _zoo_vits().items():
        if (config.embed_dim, config.depth) == (embed_dim, depth):
            return config.num_heads, f"as in {name}"
    if embed_dim % HEAD_SIZE:
        return 1, f"since heads of {HEAD_SIZE} channels do not divide {embed_dim}"
    return embed_dim // HEAD_SIZE, f"which makes {HEAD_SIZE} channels each"


def named_depth(config: ResNetConfig) -> ResNetConfig:
    """The same network named by its published depth, if it has one."""
    for published in _zoo_resnets().values():
        if published.stages == config.stages:
            return dataclasses.replace(config, depth=published.depth, layers=None, block=None)
    return config


@functools.cache
def _zoo_vits() -> dict[str, ViTConfig]:
    return {name: config for name in names() if isinstance(config := zoo(name), ViTConfig)}


@functools.cache
def _zoo_resnets() -> dict[str, ResNetConfig]:
    return {name: config for name in names() if isinstance(config := zoo(name), ResNetConfig)}


def nearest_name(config: ModelConfig) -> str | None:
    """The published name with the shapes of ``config`` except the classes, nearest in image size; None if none has."""
    same = [
        name
        for name, published in (_zoo_vits() | _zoo_resnets()).items()
        if type(published) is type(config) and _shaped(published) == _shaped(config)
    ]

    def distance(name: str) -> tuple[int, bool]:
        published = zoo(name)
        side, other = as_pair(published.img_size)[0], as_pair(config.img_size)[0]
        return abs(side - other), published.num_classes != config.num_classes

    return min(same, key=distance, default=None)


UNSHAPED = frozenset(
    {
        "img_size",
        "num_classes",
        "num_heads",
        "norm_eps",
        "act",
        "qk_scale",
        "attention",
        "attn_mask",
        "residual",
        "padding",
        "init",
        "pos_embed_std",
        "drop_rate",
        "attn_drop_rate",
        "drop_path_rate",
        "drop_path_schedule",
    }
)
"""Settings that at most the head and the position embedding show, and no other tensor."""


def _shaped(config: ModelConfig) -> dict[str, Any]:
    return {f.name: getattr(config, f.name) for f in dataclasses.fields(config) if f.name not in UNSHAPED}
