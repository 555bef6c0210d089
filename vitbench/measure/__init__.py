"""Measurement of models, one package or module per quantity. Names are imported on first use (PEP 562)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitbench.utils.lazy import lazy

if TYPE_CHECKING:
    from vitbench.measure.counts.flops import Counts, count
    from vitbench.measure.matching.equal_cost import Match, match
    from vitbench.measure.peak_memory.modelled import MemoryPeak, memory
    from vitbench.measure.timing.latency import Comparison, compare

__all__ = ["Comparison", "Counts", "Match", "MemoryPeak", "compare", "count", "match", "memory"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "counts.flops": ("Counts", "count"),
        "timing.latency": ("Comparison", "compare"),
        "matching.equal_cost": ("Match", "match"),
        "peak_memory.modelled": ("MemoryPeak", "memory"),
    },
)
