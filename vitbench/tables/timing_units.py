"""Derives units, drift, order effects and noise from the raw timings of a session.

``control`` is the record of the baseline's clone, which also holds data about the whole session.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from vitbench import stats
from vitbench.records.record import Record
from vitbench.tables.study import Study

FIXED_LEVEL = 0.95
"""Confidence level of intervals without interim looks."""

PHASES = ("forward", "backward", "optimizer")
"""The phases of a training step, in order."""


def blocks(record: Record) -> NDArray[np.float64]:
    """Seconds of wall time per call, (blocks, calls)."""
    return np.asarray(record.samples["wall"]["values"], dtype=np.float64)


def process_sizes(record: Record) -> Sequence[int] | None:
    """The number of blocks of each process that timed the session, in sequence; None for a single process."""
    sizes: Sequence[int] | None = record.values.get("processes")
    return sizes if sizes is not None and len(sizes) > 1 else None


def unit(record: Record) -> str:
    """The unit of a timing's intervals: ``block`` or ``process``."""
    return "block" if process_sizes(record) is None else "process"


def unit_of(study: Study, kind: str) -> str:
    """The unit of the intervals of the deciding session: ``block`` or ``process``."""
    session = next(study.sessions(kind), {})
    return next((unit(record) for record in session.values()), "block")


def log_ratios(record: Record, baseline: Record) -> NDArray[np.float64]:
    """The log-ratios of two timings of one session, one per block, or per process if there are several."""
    return stats.by_process(stats.log_ratio_blocks(blocks(record), blocks(baseline)), process_sizes(record))


def absolute(record: Record, seconds: NDArray[np.float64]) -> stats.Interval:
    """The mean over blocks, or over processes if there are several, with its t interval.

    Args:
        record: the timing.
        seconds: one value per block, (blocks,).
    """
    return stats.mean_interval(stats.by_process(seconds, process_sizes(record)))


def phases(record: Record) -> dict[str, NDArray[np.float64]]:
    """Phase of a training step → seconds in the median call of each block, (blocks,); empty if not recorded."""
    if not all(name in record.samples for name in PHASES):
        return {}
    parts = [np.asarray(record.samples[name]["values"], dtype=np.float64) for name in PHASES]
    return dict(zip(PHASES, stats.phases_of_median(blocks(record), parts), strict=True))


def level_of(control: Record | None) -> float:
    """The nominal level at which intervals cover 95 %; sessions of several processes have no interim looks."""
    if control is None or process_sizes(control) is not None:
        return FIXED_LEVEL
    return float(control.values.get("level") or FIXED_LEVEL)


def unstable(record: Record, baseline: Record, control: Record | None) -> bool:
    """Whether the ratio of two timings of one session drifts with time; see ``stats.drifts``."""
    if control is None:
        return False
    units = stats.log_ratio_blocks(blocks(record), blocks(baseline))
    return stats.drifts(units, stats.block_midpoints(control.values["block_seconds"]), process_sizes(control))


def order_effect(record: Record, baseline: Record, control: Record | None) -> stats.Interval | None:
    """The ratio's change between mirrored passes if its interval excludes 1, else None; see ``stats.order_effect``."""
    if control is None:
        return None
    found = stats.order_effect(blocks(record), blocks(baseline))
    return found if found.excludes(1) else None


def noise_grade(control: Record | None, session: Iterable[Record], device: str) -> stats.Grade:
    """The noise grade of a session, from CPU pressure and the CPU share of the calls."""
    if control is None:
        return "not available"
    known = [p for p in control.values.get("pressure") or [] if p is not None]
    share = 1.0
    if device == "cpu":
        every = [control, *session]
        took = {name: sum(float(np.sum(r.samples[name]["values"])) for r in every) for name in ("cpu", "wall")}
        share = took["cpu"] / took["wall"]
    return stats.grade(sum(known) / len(known) if known else None, share)
