"""vitbench: what a vision transformer's design choices cost and buy, with numbers that hold up.

Names are imported on first use (PEP 562), so that ``import vitbench`` loads neither torch nor pandas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitbench.utils.lazy import lazy

if TYPE_CHECKING:
    from vitbench.declare.ablation import Ablation
    from vitbench.declare.claim import Claim
    from vitbench.declare.data import DataConfig
    from vitbench.declare.external import ExternalConfig
    from vitbench.declare.measure import MeasureConfig
    from vitbench.declare.recipes import recipe
    from vitbench.declare.resnet import ResNetConfig
    from vitbench.declare.train import TrainConfig
    from vitbench.declare.tuning import Tuning
    from vitbench.declare.vit import ViTConfig
    from vitbench.declare.zoo import zoo
    from vitbench.measure import match
    from vitbench.models import build
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
        "declare.ablation": ("Ablation",),
        "declare.claim": ("Claim",),
        "declare.data": ("DataConfig",),
        "declare.external": ("ExternalConfig",),
        "declare.measure": ("MeasureConfig",),
        "declare.recipes": ("recipe",),
        "declare.resnet": ("ResNetConfig",),
        "declare.train": ("TrainConfig",),
        "declare.tuning": ("Tuning",),
        "declare.vit": ("ViTConfig",),
        "declare.zoo": ("zoo",),
        "measure": ("match",),
        "models": ("build",),
        "report.notebook": ("load",),
    },
)
