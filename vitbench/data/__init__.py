"""Data sets by name: ``describe`` returns the shape and sizes, ``load`` the train, validation and test splits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitbench.utils.lazy import lazy

if TYPE_CHECKING:
    from vitbench.data.dataset import Dataset, Split
    from vitbench.data.registry import describe, load, names
    from vitbench.data.spec import DataSpec
    from vitbench.data.stream import Stream

__all__ = ["DataSpec", "Dataset", "Split", "Stream", "describe", "load", "names"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "dataset": ("Dataset", "Split"),
        "registry": ("describe", "load", "names"),
        "spec": ("DataSpec",),
        "stream": ("Stream",),
    },
)
