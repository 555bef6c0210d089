"""Checkpoints: other people's files into our models, and ours into files. Names are imported on first use (PEP 562)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitbench.utils.lazy import lazy

if TYPE_CHECKING:
    from vitbench.models.weights.inferring import config_from_checkpoint
    from vitbench.models.weights.loading import load_weights
    from vitbench.models.weights.report import LoadReport
    from vitbench.models.weights.saving import save_weights

__all__ = ["LoadReport", "config_from_checkpoint", "load_weights", "save_weights"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "inferring": ("config_from_checkpoint",),
        "loading": ("load_weights",),
        "report": ("LoadReport",),
        "saving": ("save_weights",),
    },
)
