"""Training of one model under a recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitbench.utils.lazy import lazy

if TYPE_CHECKING:
    from vitbench.train.loop import Diverged, Epoch, TrainResult, train

__all__ = ["Diverged", "Epoch", "TrainResult", "train"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "loop": ("Diverged", "Epoch", "TrainResult", "train"),
    },
)
