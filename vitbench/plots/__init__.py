"""Finished frames → matplotlib figures, drawn with seaborn. Never torch; computes nothing.

Names are imported on first use (PEP 562).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitbench.utils.lazy import lazy

if TYPE_CHECKING:
    from vitbench.plots.curves import data_sizes, progress, reach
    from vitbench.plots.effects import interactions, main_effects
    from vitbench.plots.model_families import fronts, tuned
    from vitbench.plots.roofline import roofs
    from vitbench.plots.style import save
    from vitbench.plots.training_outcomes import calibration, differences, groups
    from vitbench.plots.variants import (
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
    "calibration",
    "data_sizes",
    "differences",
    "fronts",
    "groups",
    "interactions",
    "latency_ratios",
    "learning_curves",
    "main_effects",
    "position_similarity",
    "progress",
    "reach",
    "roofs",
    "save",
    "tradeoff",
    "tuned",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "curves": ("data_sizes", "progress", "reach"),
        "style": ("save",),
        "effects": ("interactions", "main_effects"),
        "model_families": ("fronts", "tuned"),
        "variants": (
            "accuracy",
            "attention_distance",
            "latency_ratios",
            "learning_curves",
            "position_similarity",
            "tradeoff",
        ),
        "training_outcomes": ("calibration", "differences", "groups"),
        "roofline": ("roofs",),
    },
)
