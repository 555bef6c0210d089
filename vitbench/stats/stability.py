"""What can be wrong with a timing although its control holds: noise, a ratio that drifts, calls in each other's way.

All of it from raw samples, so that a report can say it again without the machine.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from vitbench.stats.estimates import FloatArray, Interval, has_spread, hodges_lehmann, ratio_interval

Grade: TypeAlias = Literal["A", "B", "C", "D", "not available"]

DRIFT_ALPHA = 0.01
ORDER_LEVEL = 0.99
STALL = 10.0


def grade(pressure: float | None, cpu_share: float = 1.0) -> Grade:
    """The noise grade: A under 5 % pressure, B under 25 %, C under 60 %; D above, or with under 70 % of a core.

    Args:
        pressure: mean share of time in which some task waited for a core, 0 to 1; None: not available here.
        cpu_share: thread CPU time ÷ wall time of the timed calls; 1 on an accelerator, where it says nothing.
    """
    if cpu_share < 0.7:
        return "D"
    if pressure is None:
        return "not available"
    return "A" if pressure < 0.05 else "B" if pressure < 0.25 else "C" if pressure < 0.60 else "D"


def middles(seconds: ArrayLike) -> FloatArray:
    """When each block was in its middle, in seconds from the first one's start, from what each took: (blocks,)."""
    took = np.asarray(seconds, dtype=np.float64)
    return np.asarray(np.cumsum(took) - took / 2, dtype=np.float64)


def drift_p(block_log_ratios: ArrayLike, times: ArrayLike, sizes: Sequence[int] | None = None) -> float:
    """Two-sided p of the slope of log-ratios against time; NaN where that cannot be told.

    Args:
        block_log_ratios: (blocks,).
        times: of the blocks, (blocks,).
        sizes: blocks of each process, where several ran one after another: each has a level of its own.
    """
    units, at = np.asarray(block_log_ratios, dtype=np.float64), np.asarray(times, dtype=np.float64)
    if units.ndim != 1 or units.shape != at.shape or sum(sizes or [len(units)]) != len(units):
        raise ValueError(f"a drift takes a time for every block, got {units.shape}, {at.shape}, {sizes}")
    ends = [0, *itertools.accumulate(sizes or [len(units)])]
    parts = [slice(*pair) for pair in itertools.pairwise(ends)]
    u = np.concatenate([at[part] - at[part].mean() for part in parts])
    v = np.concatenate([units[part] - units[part].mean() for part in parts])
    df = len(units) - len(parts) - 1
    if df < 1 or not has_spread(u) or not has_spread(v):
        return float("nan")
    slope = u @ v / (u @ u)
    residual = v - slope * u
    error = np.sqrt(residual @ residual / df / (u @ u))
    return float(2 * special.stdtr(df, -abs(slope) / error)) if error > 0 else 0.0


def drifts(block_log_ratios: ArrayLike, times: ArrayLike, sizes: Sequence[int] | None = None) -> bool:
    """Whether a ratio changes with time (p < .01): then it has no one value, and its verdict is inconclusive."""
    return drift_p(block_log_ratios, times, sizes) < DRIFT_ALPHA


def order_effect(variant: ArrayLike, baseline: ArrayLike, level: float = ORDER_LEVEL) -> Interval:
    """By what factor the ratio differs in the mirrored pass, where the last of the first pass runs twice in a row.

    Args:
        variant: (blocks, 2·cycles) seconds per call, as ``log_ratio_blocks`` takes them.
        baseline: the same of the baseline.
        level: of the interval. It excludes 1: the subjects find their caches in a state that depends on who ran before.
    """
    calls = np.log(np.asarray(variant, dtype=np.float64)) - np.log(np.asarray(baseline, dtype=np.float64))
    return ratio_interval(hodges_lehmann(calls[:, 1::2] - calls[:, 0::2]), level)


def stalls(wall: ArrayLike) -> tuple[int, float]:
    """How many calls took over ``STALL`` times the median, and the longest: medians and Hodges–Lehmann see neither.

    Args:
        wall: (blocks, calls) seconds per call.
    """
    calls = np.asarray(wall, dtype=np.float64)
    return int(np.count_nonzero(calls > STALL * np.median(calls))), float(calls.max())


def by_process(units: ArrayLike, sizes: Sequence[int] | None) -> FloatArray:
    """The top units of a comparison: blocks (blocks,) as they are, or the mean of each process where there are several.

    Args:
        units: one a block, in the order of the processes.
        sizes: blocks of each process; None: one.
    """
    array = np.asarray(units, dtype=np.float64)
    if sizes is None or len(sizes) < 2:
        return array
    return np.array([part.mean() for part in np.split(array, list(itertools.accumulate(sizes))[:-1])])


def phases_of_median(wall: ArrayLike, phases: Sequence[ArrayLike]) -> list[FloatArray]:
    """Seconds of each phase in the calls that are their block's median, each (blocks,), so that they add up to it.

    The medians of phases would not: each phase has its own median call.

    Args:
        wall: (blocks, calls) seconds of whole calls.
        phases: of the same calls, the same shape each.
    """
    whole = np.asarray(wall, dtype=np.float64)
    n = whole.shape[1]
    middle = np.argsort(whole, axis=1, kind="stable")[:, (n - 1) // 2 : n // 2 + 1]
    parts = (np.take_along_axis(np.asarray(phase, dtype=np.float64), middle, axis=1) for phase in phases)
    return [np.asarray(part.mean(axis=1), dtype=np.float64) for part in parts]
