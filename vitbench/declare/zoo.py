"""Configs of published models by name: ``zoo("vit_base_patch16_224")``.

Sizes are those of the ViT paper (table 1), and of DeiT for tiny and small; names are timm's where timm has one. All
models have 1000 classes, except the ImageNet-21k models with 21843. Those come as published, with
``representation_size``, and as ``…_no_pre_logits`` without it. ``vit_digits`` and ``resnet_digits`` are this project's
own small models.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

from vitbench.declare.checked import with_values
from vitbench.declare.model import ModelConfig
from vitbench.declare.resnet import RESNET_LAYERS, ResNetConfig
from vitbench.declare.vit import ViTConfig
from vitbench.utils.errors import UserError, unknown

IN21K_CLASSES = 21_843

# size → embed_dim, depth, num_heads
_SIZES = {
    "tiny": (192, 12, 3),
    "small": (384, 12, 6),
    "base": (768, 12, 12),
    "large": (1024, 24, 16),
    "huge": (1280, 32, 16),
}

# size, patch_size, img_size; the combinations that timm names
_VITS = (
    *itertools.product(("tiny",), (16,), (224, 384)),
    *itertools.product(("small", "base", "large"), (32, 16), (224, 384)),
    ("small", 8, 224),
    ("base", 8, 224),
    ("huge", 14, 224),
)

_IN21K = (("base", 16), ("base", 32), ("large", 16), ("large", 32), ("huge", 14))

_DEITS = (("tiny", 224), ("small", 224), ("base", 224), ("base", 384))

# backbone → pixels per token, blocks per stage. r_s16_p8 is the 7×7 stem alone, with stride 4, cut into 8×8 patches
_BACKBONES: dict[str, tuple[int, tuple[int, ...]]] = {
    "r_s16_p8": (32, ()),
    "r26_s32": (32, (2, 2, 2, 2)),
    "r50_s16": (16, (3, 4, 9)),
    "r50_s32": (32, (3, 4, 6, 3)),
}

_HYBRIDS = (
    *itertools.product(("tiny",), ("r_s16_p8",), (224, 384)),
    *itertools.product(("small",), ("r26_s32",), (224, 384)),
    ("base", "r26_s32", 224),
    *itertools.product(("base",), ("r50_s16",), (224, 384)),
    *itertools.product(("large",), ("r50_s32",), (224, 384)),
)


def _vit(size: str, patch_size: int, img_size: int, **rest: Any) -> ViTConfig:
    embed_dim, depth, num_heads = _SIZES[size]
    return ViTConfig(
        img_size=img_size, patch_size=patch_size, embed_dim=embed_dim, depth=depth, num_heads=num_heads, **rest
    )


def _hybrid(size: str, backbone: str, img_size: int) -> ViTConfig:
    patch_size, layers = _BACKBONES[backbone]
    return _vit(size, patch_size, img_size, stem="hybrid", hybrid_layers=layers)


def _in21k(size: str, patch_size: int) -> dict[str, ModelConfig]:
    config = _vit(size, patch_size, 224, num_classes=IN21K_CLASSES)
    name = f"vit_{size}_patch{patch_size}_224_in21k"
    return {
        name: dataclasses.replace(config, representation_size=config.embed_dim),
        f"{name}_no_pre_logits": config,
    }


_ENCODER_2017 = ViTConfig(
    embed_dim=512,
    depth=6,
    num_heads=8,
    norm_position="post",
    pos_embed="sincos1d",
    act="relu",
    drop_rate=0.1,
)
"""The encoder of the base model of Vaswani et al. (2017, table 3), with patches instead of words."""

_DIGITS: dict[str, Any] = {"img_size": 8, "in_chans": 1, "num_classes": 10}
_VIT_DIGITS = ViTConfig(**_DIGITS, patch_size=2, embed_dim=64, depth=4, num_heads=4, init="moco", pos_embed_std=1.0)
"""The small ViT that the shipped questions share: minutes on a CPU with scikit-learn's 8 px digits."""

_RESNET_DIGITS = ResNetConfig(**_DIGITS, depth=None, layers=(1, 1, 1), block="basic", width=16, stem="cifar")
"""The small ResNet that is compared with it: one basic block in each of three stages."""

_ZOO: dict[str, ModelConfig] = {
    **{f"vit_{size}_patch{patch}_{img}": _vit(size, patch, img) for size, patch, img in _VITS},
    **{name: config for size, patch in _IN21K for name, config in _in21k(size, patch).items()},
    **{f"deit_{size}_patch16_{img}": _vit(size, 16, img) for size, img in _DEITS},
    **{f"deit_{size}_distilled_patch16_{img}": _vit(size, 16, img, distilled=True) for size, img in _DEITS},
    "simple_vit_small_patch16_224": _vit("small", 16, 224, pool="mean", pos_embed="sincos2d"),
    "encoder2017_base_patch16_224": _ENCODER_2017,
    **{f"vit_{size}_{backbone}_{img}": _hybrid(size, backbone, img) for size, backbone, img in _HYBRIDS},
    **{f"resnet{depth}": ResNetConfig(depth=depth) for depth in RESNET_LAYERS},
    **{f"resnet{depth}d": ResNetConfig(depth=depth, variant="d") for depth in RESNET_LAYERS},
    "vit_digits": _VIT_DIGITS,
    "resnet_digits": _RESNET_DIGITS,
}


def names() -> list[str]:
    """The names that ``zoo`` takes."""
    return list(_ZOO)


def zoo(name: str, **overrides: Any) -> ModelConfig:
    """The config of a named model, with fields replaced: ``zoo("vit_digits", depth=6)``.

    Raises:
        UserError: no model has that name; the message names the nearest.
        ConfigError: the model has no such field, or the field cannot have that value.
    """
    if name not in _ZOO:
        raise UserError(unknown("model", name, _ZOO))
    return with_values(_ZOO[name], overrides)
