"""vitbench: what a vision transformer's design choices cost and buy, with numbers that hold up.

Names are imported on first use (PEP 562), so that ``import vitbench`` loads neither torch nor pandas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitbench.lazy import lazy

if TYPE_CHECKING:
    from vitbench.ablation import Ablation, Claim
    from vitbench.catalog import zoo
    from vitbench.config import (
        DataConfig,
        ExternalConfig,
        MeasureConfig,
        ResNetConfig,
        TrainConfig,
        Tuning,
        ViTConfig,
    )
    from vitbench.measure import match
    from vitbench.models import build
    from vitbench.recipes import recipe
    from vitbench.report.notebook import load

__version__ = "0.1.0"

__all__ = [
    "Ablation",
    "Claim",
    "DataConfig",
    "ExternalConfig",
    "MeasureConfig",
    "ResNetConfig",
    "TrainConfig",
    "Tuning",
    "ViTConfig",
    "build",
    "load",
    "match",
    "recipe",
    "zoo",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "ablation": ("Ablation", "Claim"),
        "catalog": ("zoo",),
        "config": (
            "DataConfig",
            "ExternalConfig",
            "MeasureConfig",
            "ResNetConfig",
            "TrainConfig",
            "Tuning",
            "ViTConfig",
        ),
        "measure": ("match",),
        "models": ("build",),
        "recipes": ("recipe",),
        "report.notebook": ("load",),
    },
)
