"""Config → ``nn.Module``. Names are imported on first use (PEP 562)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vitbench.models.factory import build
    from vitbench.models.resnet import ResNet
    from vitbench.models.vit import VisionTransformer

__all__ = ["ResNet", "VisionTransformer", "build"]

_MODULES = {"ResNet": "resnet", "VisionTransformer": "vit", "build": "factory"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'vitbench.models' has no attribute {name!r}")
    return getattr(importlib.import_module(f"vitbench.models.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
