"""Finished frames → matplotlib figures, drawn with seaborn. Never torch; computes nothing.

Names are imported on first use (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vitbench.plots.drawing import save
    from vitbench.plots.figures import accuracy, latency_ratios, learning_curves, tradeoff

__all__ = ["accuracy", "latency_ratios", "learning_curves", "save", "tradeoff"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'vitbench.plots' has no attribute {name!r}")
    module = "drawing" if name == "save" else "figures"
    return getattr(importlib.import_module(f"vitbench.plots.{module}"), name)


def __dir__() -> list[str]:
    return __all__
