"""What a model costs and gives, one file a quantity. Names are imported on first use (PEP 562)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitbench.lazy import lazy

if TYPE_CHECKING:
    from vitbench.measure.flops import Counts, count
    from vitbench.measure.latency import Comparison, compare
    from vitbench.measure.matching import Match, match
    from vitbench.measure.peak_memory import MemoryPeak, memory

__all__ = ["Comparison", "Counts", "Match", "MemoryPeak", "compare", "count", "match", "memory"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "flops": ("Counts", "count"),
        "latency": ("Comparison", "compare"),
        "matching": ("Match", "match"),
        "peak_memory": ("MemoryPeak", "memory"),
    },
)
