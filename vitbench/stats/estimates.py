"""Estimates with intervals, and paired tests.

The unit of analysis is a block of a timing session or a seed of a training, never a single call: calls within a block
share one placement in memory and are not independent. All intervals are Student's t over units. The caller omits
missing units; NaN or infinity raises ``ValueError``.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

FloatArray = NDArray[np.float64]

EXACT_FLIPS = 20
"""Maximum number of pairs for which all 2ⁿ sign patterns are enumerated."""


@dataclass(frozen=True)
class Interval:
    """An estimate and its confidence interval, in the unit of the estimate; NaN bounds mean "no interval"."""

    value: float
    low: float
    high: float
    level: float
    n: int

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2

    def excludes(self, value: float) -> bool:
        """Whether ``value`` lies outside the interval; False without an interval."""
        return self.low > value or self.high < value

    def within(self, low: float, high: float) -> bool:
        """Whether the interval lies in [low, high]; False without an interval."""
        return low <= self.low and self.high <= high


def _finite(x: ArrayLike, dimensions: int = 1) -> FloatArray:
    array = np.asarray(x, dtype=np.float64)
    if array.ndim != dimensions or array.size == 0:
        raise ValueError(f"expected a non-empty array of {dimensions} dimension(s), got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(array))} of {array.size} values are not finite")
    return array


def has_spread(x: ArrayLike) -> bool:
    """Whether the values differ by more than rounding errors; False for a single value."""
    array = _finite(x)
    return bool(np.ptp(array) > 1e-12 * max(1.0, float(np.abs(array).max())))


def mean_interval(x: ArrayLike, level: float = 0.95) -> Interval:
    """The mean of ``x`` (units,) with its t interval at n − 1 degrees of freedom, in the unit of ``x``."""
    array = _finite(x)
    n, mean = array.size, float(array.mean())
    if n < 2:
        return Interval(mean, float("nan"), float("nan"), level, n)
    half = float(special.stdtrit(n - 1, 0.5 + level / 2) * array.std(ddof=1) / np.sqrt(n))
    return Interval(mean, mean - half, mean + half, level, n)


def ratio_interval(block_log_ratios: ArrayLike, level: float = 0.95) -> Interval:
    """The ratio variant ÷ baseline with its interval, from one log-ratio per block, (blocks,)."""
    logs = mean_interval(block_log_ratios, level)
    return Interval(float(np.exp(logs.value)), float(np.exp(logs.low)), float(np.exp(logs.high)), level, logs.n)


def latency_interval(blocks: ArrayLike, level: float = 0.95, quantile: float = 0.5) -> Interval:
    """Latency in seconds: the mean over blocks of a quantile of each block's calls, with its t interval.

    Args:
        blocks: (blocks, calls), seconds per call.
        level: confidence level of the interval.
        quantile: quantile of the calls of a block: .5 for the median, .9 for p90.
    """
    return mean_interval(np.quantile(_finite(blocks, 2), quantile, axis=1), level)


def hodges_lehmann(x: ArrayLike) -> FloatArray:
    """The median of all pairwise means, including each value with itself, along the last axis: (…, n) → (…).

    Hodges & Lehmann 1963: nearly as efficient as the mean under normal noise, and robust to a few slow calls.
    """
    array = np.asarray(x, dtype=np.float64)
    i, j = np.triu_indices(array.shape[-1])
    return np.asarray(np.median((array[..., i] + array[..., j]) / 2, axis=-1), dtype=np.float64)


def log_ratio_blocks(variant: ArrayLike, baseline: ArrayLike) -> FloatArray:
    """Log-ratios variant ÷ baseline of one session, one per block, (blocks,).

    Each is the Hodges–Lehmann estimate over the block's cycles of the mean log-ratio of a cycle's two calls.

    Args:
        variant: (blocks, 2·cycles), seconds per call. Columns 2c and 2c + 1 are the two calls of cycle c, in the first
            pass and in the mirrored pass, so that linear drift cancels in their mean.
        baseline: seconds per call of the baseline in the same cycles, same shape.
    """
    numerator, denominator = _finite(variant, 2), _finite(baseline, 2)
    if numerator.shape != denominator.shape or numerator.shape[1] % 2:
        raise ValueError(f"expected two equal shapes (blocks, 2·cycles), got {numerator.shape} and {denominator.shape}")
    if min(numerator.min(), denominator.min()) <= 0:
        raise ValueError("the seconds of every call must be above 0")
    calls = np.log(numerator) - np.log(denominator)
    return hodges_lehmann(calls.reshape(len(calls), -1, 2).mean(axis=2))


def paired_p(differences: ArrayLike) -> float:
    """Two-sided p of the paired t test; NaN for a single pair or without spread."""
    array = _finite(differences)
    if array.size < 2 or not has_spread(array):
        return float("nan")
    t = array.mean() / (array.std(ddof=1) / np.sqrt(array.size))
    return float(2 * special.stdtr(array.size - 1, -abs(t)))


def sign_flip_p(differences: ArrayLike, rng: np.random.Generator | None = None) -> float:
    """Two-sided p of the sign-flip permutation test of the mean, which assumes only symmetry under the null hypothesis.

    Exact up to 20 pairs, where its minimum is 2/2ⁿ; for more pairs, 100,000 patterns from ``rng`` (default: seed 0).
    """
    array = _finite(differences)
    if array.size <= EXACT_FLIPS:
        sums = array[:1]  # the first sign is fixed: a pattern and its opposite give the same |sum|
        for difference in array[1:]:
            sums = np.concatenate([sums + difference, sums - difference])
        extreme, patterns = 0, len(sums)
    else:
        rng = rng or np.random.default_rng(0)
        signs = rng.integers(0, 2, size=(100_000, array.size), dtype=np.int8) * 2 - 1
        sums = signs @ array
        extreme, patterns = 1, len(sums) + 1  # the observed pattern is one of them
    threshold = abs(array.sum()) - 1e-12 * np.abs(array).sum()  # equal sums may differ by rounding
    return float((extreme + np.count_nonzero(np.abs(sums) >= threshold)) / patterns)


@functools.lru_cache(maxsize=4096)
def _detectable_in_sd(n: int, alpha: float, power: float) -> float:
    from scipy.optimize import brentq

    df = n - 1
    critical = float(special.stdtrit(df, 1 - alpha / 2))

    def shortfall(noncentrality: float) -> float:
        return 1 - float(special.nctdtr(df, noncentrality, critical)) - power  # only the right sign counts

    high = critical + 1
    while shortfall(high) < 0:
        high *= 2
    return float(brentq(shortfall, 0.0, high)) / float(np.sqrt(n))


def detectable_effect(sd: float, n: int, alpha: float = 0.05, power: float = 0.8) -> float:
    """The smallest true mean that a two-sided paired t test at ``alpha`` detects with probability ``power``.

    Computed from the non-central t distribution, in the unit of ``sd``, the standard deviation of the n differences.
    NaN for fewer than two pairs.
    """
    return sd * _detectable_in_sd(n, alpha, power) if n >= 2 else float("nan")


def control_holds(block_log_ratios: ArrayLike, level: float = 0.99) -> bool:
    """Whether the A/A control passes: the interval of baseline-to-clone log-ratios (blocks,) includes 0.

    False for a single block.
    """
    interval = mean_interval(block_log_ratios, level)
    return interval.low <= 0 <= interval.high


def exponent(x: ArrayLike, y: ArrayLike, level: float = 0.95) -> Interval:
    """The exponent b of y ∝ xᵇ: the least-squares slope of log y on log x; its t interval needs three points.

    Args:
        x: (points,), positive, at least two distinct values.
        y: (points,), positive.
        level: confidence level of the interval.
    """
    xs, ys = _finite(x), _finite(y)
    if xs.shape != ys.shape or min(xs.min(), ys.min()) <= 0 or not has_spread(xs):
        raise ValueError("an exponent needs as many y as x, all above 0, over at least two distinct x")
    u, v = np.log(xs) - np.log(xs).mean(), np.log(ys) - np.log(ys).mean()
    n, slope = len(u), float(u @ v / (u @ u))
    if n < 3:
        return Interval(slope, float("nan"), float("nan"), level, n)
    residual = v - slope * u
    half = float(special.stdtrit(n - 2, 0.5 + level / 2) * np.sqrt(residual @ residual / (n - 2) / (u @ u)))
    return Interval(slope, slope - half, slope + half, level, n)
