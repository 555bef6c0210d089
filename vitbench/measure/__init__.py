"""What a model costs and gives, one file a quantity. Names are imported on first use (PEP 562)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vitbench.measure.flops import Counts, count
    from vitbench.measure.latency import Comparison, compare
    from vitbench.measure.peak_memory import MemoryPeak, memory

__all__ = ["Comparison", "Counts", "MemoryPeak", "compare", "count", "memory"]

_MODULES = {
    "Comparison": "latency",
    "Counts": "flops",
    "MemoryPeak": "peak_memory",
    "compare": "latency",
    "count": "flops",
    "memory": "peak_memory",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'vitbench.measure' has no attribute {name!r}")
    return getattr(importlib.import_module(f"vitbench.measure.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
