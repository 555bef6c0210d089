"""Finished frames → matplotlib figures, drawn with seaborn. Never torch; computes nothing.

Names are imported on first use (PEP 562).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitbench.lazy import lazy

if TYPE_CHECKING:
    from vitbench.plots.drawing import save
    from vitbench.plots.figures import (
        accuracy,
        attention_distance,
        latency_ratios,
        learning_curves,
        position_similarity,
        tradeoff,
    )

__all__ = [
    "accuracy",
    "attention_distance",
    "latency_ratios",
    "learning_curves",
    "position_similarity",
    "save",
    "tradeoff",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "drawing": ("save",),
        "figures": (
            "accuracy",
            "attention_distance",
            "latency_ratios",
            "learning_curves",
            "position_similarity",
            "tradeoff",
        ),
    },
)
