"""Diagnostics of timings beyond the A/A control: noise grade, drift, interference between variants, stalls.

All are computed from raw samples, so a report can recompute them without the machine.
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
    """The noise grade: A below 5 % pressure, B below 25 %, C below 60 %; D above, or below 70 % CPU share.

    Args:
        pressure: mean share of time in which some task waited for a core, 0 to 1; None: not available.
        cpu_share: thread CPU time ÷ wall time of the timed calls; 1 on an accelerator, where it is meaningless.
    """
    if cpu_share < 0.7:
        return "D"
    if pressure is None:
        return "not available"
    return "A" if pressure < 0.05 else "B" if pressure < 0.25 else "C" if pressure < 0.60 else "D"


def block_midpoints(seconds: ArrayLike) -> FloatArray:
    """The midpoint of each block (blocks,), in seconds since the first block's start, from the blocks' durations."""
    durations = np.asarray(seconds, dtype=np.float64)
    return np.asarray(np.cumsum(durations) - durations / 2, dtype=np.float64)


def drift_p(block_log_ratios: ArrayLike, times: ArrayLike, sizes: Sequence[int] | None = None) -> float:
    """Two-sided p of the slope of log-ratios against time; NaN if it cannot be tested.

    Args:
        block_log_ratios: (blocks,).
        times: (blocks,).
        sizes: number of blocks of each process, if several ran in sequence; each has its own intercept.
    """
    units, time = np.asarray(block_log_ratios, dtype=np.float64), np.asarray(times, dtype=np.float64)
    if units.ndim != 1 or units.shape != time.shape or sum(sizes or [len(units)]) != len(units):
        raise ValueError(f"a drift needs a time for every block, got {units.shape}, {time.shape}, {sizes}")
    ends = [0, *itertools.accumulate(sizes or [len(units)])]
    parts = [slice(*pair) for pair in itertools.pairwise(ends)]
    u = np.concatenate([time[part] - time[part].mean() for part in parts])
    v = np.concatenate([units[part] - units[part].mean() for part in parts])
    df = len(units) - len(parts) - 1
    if df < 1 or not has_spread(u) or not has_spread(v):
        return float("nan")
    slope = u @ v / (u @ u)
    residual = v - slope * u
    error = np.sqrt(residual @ residual / df / (u @ u))
    return float(2 * special.stdtr(df, -abs(slope) / error)) if error > 0 else 0.0


def drifts(block_log_ratios: ArrayLike, times: ArrayLike, sizes: Sequence[int] | None = None) -> bool:
    """Whether a ratio drifts with time (p < .01), which makes its verdict inconclusive."""
    return drift_p(block_log_ratios, times, sizes) < DRIFT_ALPHA


def order_effect(variant: ArrayLike, baseline: ArrayLike, level: float = ORDER_LEVEL) -> Interval:
    """The ratio in the mirrored pass ÷ the ratio in the first pass, with its interval.

    An interval that excludes 1 shows interference: the caches depend on which subject ran before.

    Args:
        variant: (blocks, 2·cycles), seconds per call, as in ``log_ratio_blocks``.
        baseline: seconds per call of the baseline, same shape.
        level: confidence level of the interval.
    """
    calls = np.log(np.asarray(variant, dtype=np.float64)) - np.log(np.asarray(baseline, dtype=np.float64))
    return ratio_interval(hodges_lehmann(calls[:, 1::2] - calls[:, 0::2]), level)


def stalls(wall: ArrayLike) -> tuple[int, float]:
    """The number of calls over ``STALL`` times the median, and the longest call, in seconds.

    Medians and Hodges–Lehmann estimates hide both.

    Args:
        wall: (blocks, calls), seconds per call.
    """
    calls = np.asarray(wall, dtype=np.float64)
    return int(np.count_nonzero(calls > STALL * np.median(calls))), float(calls.max())


def by_process(units: ArrayLike, sizes: Sequence[int] | None) -> FloatArray:
    """The independent units of a comparison: the means of the processes, or the blocks of a single process.

    Args:
        units: (blocks,), in the order of the processes.
        sizes: number of blocks of each process; None: one process.
    """
    array = np.asarray(units, dtype=np.float64)
    if sizes is None or len(sizes) < 2:
        return array
    return np.array([part.mean() for part in np.split(array, list(itertools.accumulate(sizes))[:-1])])


def phases_of_median(wall: ArrayLike, phases: Sequence[ArrayLike]) -> list[FloatArray]:
    """Seconds of each phase in the median call of each block, (blocks,) per phase.

    They add up to the median latency, unlike the medians of the phases, which come from different calls.

    Args:
        wall: (blocks, calls), seconds per call.
        phases: seconds per phase of the same calls, same shape.
    """
    whole = np.asarray(wall, dtype=np.float64)
    n = whole.shape[1]
    middle = np.argsort(whole, axis=1, kind="stable")[:, (n - 1) // 2 : n // 2 + 1]
    parts = (np.take_along_axis(np.asarray(phase, dtype=np.float64), middle, axis=1) for phase in phases)
    return [np.asarray(part.mean(axis=1), dtype=np.float64) for part in parts]
