"""Comparisons of variants with the baseline: Holm's correction, intervals at the tested levels, and one verdict each.

Units are paired, shape (units,): for timing, the log-ratio variant ÷ baseline of each block (``log_ratio_blocks``); for
accuracy, the difference variant − baseline of each seed, as a fraction.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from vitbench.stats.estimates import (
    Interval,
    detectable_effect,
    has_spread,
    mean_interval,
    paired_p,
    sign_flip_p,
)
from vitbench.stats.multiple_testing import holm

Kind: TypeAlias = Literal[
    "faster",
    "slower",
    "better",
    "worse",
    "higher",
    "lower",
    "equivalent",
    "none",
    "inconclusive",
    "invalid",
    "not_measured",
    "exploratory",
    "untested",
]
"""``higher`` and ``lower`` are for effects without a good direction. ``untested``: the differences are all equal, so
there is no spread to test against."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """The interpretation of a quantity's differences.

    With ``log_ratio``, units are natural logarithms of ratios, and a comparison's value and bounds are ratios;
    otherwise all are differences of fractions, shown in points. ``margin`` (of equivalence) and ``target`` (half-width
    at which timing is conclusive) are fractions: .01 is 1 % or 1 point.
    """

    log_ratio: bool
    lower_kind: Kind  # the verdict on a value below the baseline's
    higher_kind: Kind
    margin: float = 0.01
    target: float | None = None
    unit: str = "seed"
    minimum: int = 6  # units for a verdict; with 5 the smallest sign-flip p is .0625
    alike: str = "equivalent"  # text of a verdict within the margin
    nothing: str = "no difference found"  # text of a verdict that is neither significant nor equivalent

    @property
    def percent(self) -> str:
        """The unit of hundredths: ``%`` or `` points``."""
        return "%" if self.log_ratio else " points"

    def hundredths(self, units: float) -> float:
        """A mean of units as a difference in percent or points."""
        return 100 * (math.expm1(units) if self.log_ratio else units)

    def value(self, units: float) -> float:
        """A mean of units as the reported number: a ratio or a difference."""
        return math.exp(units) if self.log_ratio else units


LATENCY = Metric(log_ratio=True, lower_kind="faster", higher_kind="slower", target=0.02, unit="block", minimum=2)
ACCURACY = Metric(log_ratio=False, lower_kind="worse", higher_kind="better")


@dataclass(frozen=True)
class Verdict:
    kind: Kind
    text: str


@dataclass(frozen=True)
class Comparison:
    """A variant compared with the baseline: a ratio or difference, with its interval at the level that Holm tested.

    ``p`` is the unadjusted p of the paired t test; ``sign_flip_p`` is a distribution-free check. Both are NaN if
    nothing was tested; value and bounds are NaN if nothing was measured.
    """

    value: float
    low: float
    high: float
    level: float
    p: float
    sign_flip_p: float
    n: int
    verdict: Verdict


def _decimals(*numbers: float) -> int:
    """The number of decimals that keeps the smallest number from being printed as 0, at least one."""
    smallest = min((abs(number) for number in numbers if number), default=1.0)
    return 1 if smallest >= 0.05 else min(6, 1 - math.floor(math.log10(smallest)))


def _signed(number: float, decimals: int = 1) -> str:
    text = f"{abs(number):.{decimals}f}"
    return text if not float(text) else ("+" if number > 0 else "−") + text


def _bracket(low: float, high: float, decimals: int) -> str:
    return f"[{_signed(low, decimals)}, {_signed(high, decimals)}]"


def _exploratory(interval: Interval, metric: Metric) -> Verdict:
    value, low, high = (metric.hundredths(x) for x in (interval.value, interval.low, interval.high))
    count = f"{interval.n} {metric.unit}{'s' * (interval.n != 1)}"
    bounds = "no interval" if not high - low > 1e-9 else _bracket(low, high, 1)
    difference = f"{_signed(value)}{metric.percent}"
    return Verdict("exploratory", f"exploratory: {count}, {difference}, {bounds}; a verdict takes {metric.minimum}")


def verdict(units: ArrayLike, metric: Metric, *, level: float = 0.95, alpha: float = 0.05) -> Verdict:
    """The verdict on paired units (units,); the first rule that matches decides.

    Args:
        units: log-ratios or differences, variant to baseline.
        metric: the interpretation of the units.
        level: confidence level of the deciding interval, 1 − the level at which Holm tested.
        alpha: error of the family; the width of timings is judged at 1 − alpha, as in the session's stopping rule.
    """
    array = np.asarray(units, dtype=np.float64)
    interval = mean_interval(array, level)
    if interval.n < metric.minimum:
        return _exploratory(interval, metric)
    value, low, high = (metric.hundredths(x) for x in (interval.value, interval.low, interval.high))
    if metric.log_ratio and not array.any():  # two timings are never equal in every block
        return Verdict("untested", "the baseline's work, timed once for both")
    if not has_spread(array):
        common = f"{_signed(value)}{metric.percent}" if abs(value) > 1e-9 else "no difference"
        return Verdict("untested", f"{common} in each of {interval.n} {metric.unit}s; without spread, no test")
    if interval.excludes(0):
        kind = metric.higher_kind if value > 0 else metric.lower_kind
        near, far = sorted((abs(low), abs(high)))
        digits = _decimals(near)
        bounds = f"[{near:.{digits}f}, {far:.{digits}f}]"
        return Verdict(kind, f"{kind} by {abs(value):.{digits}f}{metric.percent} {bounds}")
    equivalence = mean_interval(array, 0.90)
    margin = 100 * metric.margin
    low, high = metric.hundredths(equivalence.low), metric.hundredths(equivalence.high)
    if -margin <= low and high <= margin:
        unit = metric.percent if metric.log_ratio or margin != 1 else " point"
        return Verdict("equivalent", f"{metric.alike} within ±{margin:g}{unit} {_bracket(low, high, 1)}")
    if metric.target is not None:
        nominal = mean_interval(array, 1 - alpha)
        half = (metric.hundredths(nominal.high) - metric.hundredths(nominal.low)) / 2
        if half > 100 * metric.target:
            digits = 1 if half >= 100 * metric.target + 0.05 else 2  # never "±2.0% (target ±2%)"
            text = f"budget ended at ±{half:.{digits}f}% (target ±{100 * metric.target:g}%)"
            return Verdict("inconclusive", f"inconclusive: {text}")
    effect = metric.hundredths(detectable_effect(float(array.std(ddof=1)), interval.n, 1 - level))
    smallest = f"{effect:.{_decimals(effect)}f}{metric.percent}"
    return Verdict("none", f"{metric.nothing}; smallest effect detectable {smallest}")


def compare_with_holm(
    units: Mapping[str, ArrayLike],
    metric: Metric,
    *,
    alpha: float = 0.05,
    valid: bool = True,
    unstable: Collection[str] = (),
    missing: Mapping[str, str] | None = None,
) -> dict[str, Comparison]:
    """The comparison of each variant with the baseline in one metric.

    Args:
        units: paired units (units,) by variant; lengths may differ. Variants with too few units for a verdict, or
            without spread, are not tested and do not count in Holm's m; their interval is at 1 − alpha.
        metric: the interpretation of the units.
        alpha: family-wise error rate.
        valid: whether the session's A/A control passed; if not, every verdict is withheld.
        unstable: variants whose ratio drifts with time; their verdict is inconclusive.
        missing: reasons by variant for missing measurements.
    """
    arrays = {name: np.asarray(x, dtype=np.float64) for name, x in units.items()}
    tested = [name for name, x in arrays.items() if x.size >= metric.minimum and has_spread(x)]
    steps = dict(zip(tested, holm([paired_p(arrays[name]) for name in tested], alpha), strict=True))
    comparisons: dict[str, Comparison] = {}
    for name, array in arrays.items():
        level = 1 - (steps[name].level if name in steps else alpha)
        interval = mean_interval(array, level)
        found = verdict(array, metric, level=level, alpha=alpha)
        if not valid:
            found = Verdict("invalid", "INVALID: A/A control failed")
        elif name in unstable:
            found = Verdict("inconclusive", "inconclusive: unstable, the ratio drifts with time")
        comparisons[name] = Comparison(
            value=metric.value(interval.value),
            low=metric.value(interval.low),
            high=metric.value(interval.high),
            level=level,
            p=paired_p(array) if name in steps else float("nan"),
            sign_flip_p=sign_flip_p(array) if name in steps else float("nan"),
            n=interval.n,
            verdict=found,
        )
    nan = float("nan")
    for name, reason in (missing or {}).items():
        absent = Verdict("not_measured", f"not measured: {reason}")
        comparisons[name] = Comparison(nan, nan, nan, 1 - alpha, nan, nan, 0, absent)
    return comparisons
