"""The stopping rule of timing sessions: it depends on the width of the intervals, never on their position.

Stopping at the first significant difference gives 6 to 18 % false positives. Stopping at a fixed width does not, but it
stops earlier if the spread happens to be underestimated, so the interval covers slightly less than its nominal level.
Sessions therefore use a nominal level above 95 %.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator

from numpy.typing import ArrayLike

from vitbench.stats.estimates import mean_interval

NOMINAL = 0.965
"""Nominal level with several interim looks; the coverage is at least 95 % (why-believe-these-numbers.md, row 4)."""

FIRST_LOOK, GROWTH = 12, 1.5


def interim_looks(first: int = FIRST_LOOK) -> Iterator[int]:
    """The numbers of blocks at which the widths are checked: 12, 18, 27, 41, 62, 93, …, without end."""
    return itertools.accumulate(itertools.repeat(GROWTH), lambda n, factor: math.ceil(n * factor), initial=first)


def ratio_half_width(block_log_ratios: ArrayLike, level: float = NOMINAL) -> float:
    """The half-width of a ratio's interval, as a fraction, from log-ratios (blocks,); NaN for a single block."""
    interval = mean_interval(block_log_ratios, level)
    return (math.exp(interval.high) - math.exp(interval.low)) / 2


def narrow_enough(log_ratios: Iterable[ArrayLike], target: float, level: float = NOMINAL) -> bool:
    """Whether the intervals of all ratios have a half-width of at most ``target``.

    Args:
        log_ratios: log-ratios to the baseline, (blocks,) for each subject.
        target: half-width of a ratio, as a fraction.
        level: confidence level of the intervals.
    """
    return all(ratio_half_width(units, level) <= target for units in log_ratios)
