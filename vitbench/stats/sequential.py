"""When a timing session may stop: on the width of its intervals, never on what they say.

Stopping at the first significant difference finds one in 6 to 18 % of comparisons where there is none. Stopping at a
fixed width does not, but it stops sooner where the spread happens to look small, so that the interval covers a little
less than it says: hence a nominal level above the 95 % that it is to hold.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator

from numpy.typing import ArrayLike

from vitbench.stats.estimates import mean_interval

NOMINAL = 0.965
"""Level of an interval that was looked at several times; covers 95 % at least: why-believe-these-numbers.md, row 4."""

FIRST_LOOK, GROWTH = 12, 1.5


def looks(first: int = FIRST_LOOK) -> Iterator[int]:
    """The numbers of blocks at which widths are looked at, 12, 18, 27, 41, 62, 93 and so on without end."""
    return itertools.accumulate(itertools.repeat(GROWTH), lambda n, factor: math.ceil(n * factor), initial=first)


def ratio_half_width(block_log_ratios: ArrayLike, level: float = NOMINAL) -> float:
    """Half the width of a ratio's interval, as a fraction, from log-ratios (blocks,); NaN where there is one block."""
    interval = mean_interval(block_log_ratios, level)
    return (math.exp(interval.high) - math.exp(interval.low)) / 2


def narrow_enough(log_ratios: Iterable[ArrayLike], target: float, level: float = NOMINAL) -> bool:
    """Whether the interval of every one of these ratios is at most ``target`` wide to either side.

    Args:
        log_ratios: of each subject to the baseline, (blocks,) each.
        target: half-width of a ratio, as a fraction.
        level: of the intervals.
    """
    return all(ratio_half_width(units, level) <= target for units in log_ratios)
