"""Config → ``nn.Module``. Names are imported on first use (PEP 562)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitbench.utils.lazy import lazy

if TYPE_CHECKING:
    from vitbench.models.factory import build
    from vitbench.models.resnet import ResNet
    from vitbench.models.vit import VisionTransformer

__all__ = ["ResNet", "VisionTransformer", "build"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "factory": ("build",),
        "resnet": ("ResNet",),
        "vit": ("VisionTransformer",),
    },
)
