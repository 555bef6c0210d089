"""vitbench: what a vision transformer's design choices cost and buy, with numbers that hold up.

Names are imported on first use (PEP 562), so that ``import vitbench`` loads neither torch nor pandas.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vitbench.ablation import Ablation, Claim
    from vitbench.catalog import zoo
    from vitbench.config import ExternalConfig, MeasureConfig, ResNetConfig, TrainConfig, ViTConfig
    from vitbench.models import build
    from vitbench.tables import load

__version__ = "0.1.0"

__all__ = [
    "Ablation",
    "Claim",
    "ExternalConfig",
    "MeasureConfig",
    "ResNetConfig",
    "TrainConfig",
    "ViTConfig",
    "build",
    "load",
    "zoo",
]

_ROOMS = {
    "Ablation": "ablation",
    "Claim": "ablation",
    "ExternalConfig": "config",
    "MeasureConfig": "config",
    "ResNetConfig": "config",
    "TrainConfig": "config",
    "ViTConfig": "config",
    "build": "models",
    "load": "tables",
    "zoo": "catalog",
}


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'vitbench' has no attribute {name!r}")
    return getattr(importlib.import_module(f"vitbench.{_ROOMS[name]}"), name)


def __dir__() -> list[str]:
    return __all__
