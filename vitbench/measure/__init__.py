"""What a model costs and gives, one file a quantity. Names are imported on first use (PEP 562)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitbench.lazy import lazy

if TYPE_CHECKING:
    from vitbench.measure.flops import Counts, count
    from vitbench.measure.latency import Comparison, compare
    from vitbench.measure.peak_memory import MemoryPeak, memory

__all__ = ["Comparison", "Counts", "MemoryPeak", "compare", "count", "memory"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "flops": ("Counts", "count"),
        "latency": ("Comparison", "compare"),
        "peak_memory": ("MemoryPeak", "memory"),
    },
)
