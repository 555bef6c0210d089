"""Published names → configs: ``zoo("vit_base_patch16_224")``. No torch.

Sizes are those of the ViT paper (table 1), DeiT for tiny and small; names are timm's. All have 1000 classes.
"""

from __future__ import annotations

import itertools

from vitbench.config import RESNET_LAYERS, ModelConfig, ResNetConfig, ViTConfig
from vitbench.errors import UserError, unknown

# size → embed_dim, depth, num_heads
_SIZES = {
    "tiny": (192, 12, 3),
    "small": (384, 12, 6),
    "base": (768, 12, 12),
    "large": (1024, 24, 16),
    "huge": (1280, 32, 16),
}

# size, patch_size, img_size (FACTS §1)
_VITS = (
    *itertools.product(("tiny",), (16,), (224, 384)),
    *itertools.product(("small", "base", "large"), (32, 16), (224, 384)),
    ("small", 8, 224),
    ("base", 8, 224),
    ("huge", 14, 224),
)


def _vit(size: str, patch_size: int, img_size: int) -> ViTConfig:
    embed_dim, depth, num_heads = _SIZES[size]
    return ViTConfig(img_size=img_size, patch_size=patch_size, embed_dim=embed_dim, depth=depth, num_heads=num_heads)


_ZOO: dict[str, ModelConfig] = {
    **{f"vit_{size}_patch{patch}_{img}": _vit(size, patch, img) for size, patch, img in _VITS},
    **{f"resnet{depth}": ResNetConfig(depth=depth) for depth in RESNET_LAYERS},
}


def names() -> list[str]:
    """Every name that ``zoo`` knows."""
    return list(_ZOO)


def zoo(name: str) -> ModelConfig:
    """The config of a published model.

    Raises:
        UserError: no such name; the message has the nearest.
    """
    if name not in _ZOO:
        raise UserError(unknown("model", name, _ZOO))
    return _ZOO[name]
