"""Name → train, validation and test splits. ``describe`` says what a data set is, ``load`` brings it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vitbench.data.dataset import Dataset, Split
    from vitbench.data.registry import describe, load, names
    from vitbench.data.spec import DataSpec

__all__ = ["DataSpec", "Dataset", "Split", "describe", "load", "names"]

_MODULES = {
    "DataSpec": "spec",
    "Dataset": "dataset",
    "Split": "dataset",
    "describe": "registry",
    "load": "registry",
    "names": "registry",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'vitbench.data' has no attribute {name!r}")
    return getattr(importlib.import_module(f"vitbench.data.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
