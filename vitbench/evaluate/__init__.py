"""Evaluation of a checkpoint on a test split: accuracy, calibration, throughput. Names are imported on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitbench.utils.lazy import lazy

if TYPE_CHECKING:
    from vitbench.evaluate.preprocessing import Images
    from vitbench.evaluate.scoring import ClassScore, Scores, logits_of, score

__all__ = ["ClassScore", "Images", "Scores", "logits_of", "score"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "preprocessing": ("Images",),
        "scoring": ("ClassScore", "Scores", "logits_of", "score"),
    },
)
