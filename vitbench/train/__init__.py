"""The recipe that yields accuracy."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vitbench.train.loop import Diverged, Epoch, TrainResult, train

__all__ = ["Diverged", "Epoch", "TrainResult", "train"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'vitbench.train' has no attribute {name!r}")
    return getattr(importlib.import_module("vitbench.train.loop"), name)


def __dir__() -> list[str]:
    return __all__
