"""Data scaling: a power law of error against training images, its confidence band, and crossovers of two laws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from vitbench.stats.estimates import FloatArray, Interval

RATES = np.geomspace(0.02, 6, 60)
"""Initial grid of exponents b; the search is refined around the best."""

REFINED = 12
"""Refinement steps; each compares the best b with two neighbours at half the previous distance (in log b)."""

GRID = 512
"""Number of sizes at which two curves are compared."""


@dataclass(frozen=True)
class PowerLaw:
    """A fitted power law, error = a·n⁻ᵇ + c.

    Attributes:
        a, b, c: parameters with intervals; a (at one image) and c are errors as fractions.
        smallest, largest: range of the measured sizes; outside it the curve is an extrapolation.
        parameters: (draws, 3), the fit of each bootstrap draw, in order.
    """

    a: Interval
    b: Interval
    c: Interval
    smallest: float
    largest: float
    parameters: FloatArray

    def at(self, sizes: ArrayLike) -> FloatArray:
        """The fitted error at ``sizes`` (…)."""
        return self.a.value * np.asarray(sizes, dtype=np.float64) ** -self.b.value + self.c.value

    def drawn(self, sizes: ArrayLike) -> FloatArray:
        """The error of every bootstrap draw at ``sizes`` (points,), shape (draws, points)."""
        a, b, c = (column[:, None] for column in self.parameters.T)
        return np.asarray(a * np.asarray(sizes, dtype=np.float64) ** -b + c, dtype=np.float64)

    def band(self, sizes: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Pointwise lower and upper confidence bounds of the curve at ``sizes`` (points,)."""
        tail = 100 * (1 - self.a.level) / 2
        low, high = np.percentile(self.drawn(sizes), [tail, 100 - tail], axis=0)
        return low, high


def power_law(
    sizes: ArrayLike, errors: Sequence[ArrayLike], *, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> PowerLaw:
    """The fit of error = a·n⁻ᵇ + c with a ≥ 0, c ≥ 0, by least squares with binomial weights.

    Intervals come from a bootstrap over seeds. If all sizes have the same number of seeds, a draw takes the same seeds
    for all, because the subsets of one seed are nested; otherwise each size is drawn separately. Deviations from the
    means are scaled by √(n/(n−1)) · t/z, so that the bootstrap interval of a mean is about its t interval. In
    simulations with six seeds the 95% intervals cover the truth in 91 to 97 of 100 studies.

    Args:
        sizes: (points,), numbers of training images, at least three distinct ones.
        errors: for each size the errors of its seeds, (seeds,), as fractions; at least two seeds.
        level: confidence level of the intervals.
        draws: number of bootstrap draws.
        seed: seed of the draws.

    Raises:
        ValueError: too few sizes or seeds, or invalid sizes or errors.
    """
    n = np.asarray(sizes, dtype=np.float64)
    arrays = [np.asarray(e, dtype=np.float64) for e in errors]
    if n.ndim != 1 or len(arrays) != len(n) or len(np.unique(n)) < 3:
        raise ValueError(f"a power law needs at least three sizes, each with its errors, got {n.shape}, {len(arrays)}")
    if n.min() <= 0 or any(a.ndim != 1 or a.size < 2 or not np.isfinite(a).all() or a.min() < 0 for a in arrays):
        raise ValueError("a power law needs sizes above 0 and finite errors of at least two seeds")
    means = np.array([a.mean() for a in arrays])
    drawn = _resampled(arrays, means, level, draws, np.random.default_rng(seed))
    # binomial variance p(1 − p): the spread of few seeds would be a worse estimate of the weights
    clipped = np.clip(means, 0.01, 0.99)
    weights = 1 / (clipped * (1 - clipped))
    fitted = _fit(n, np.vstack([means, drawn]), weights / weights.sum())
    best, parameters = fitted[0], fitted[1:]
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(parameters, [tail, 100 - tail], axis=0)
    count = min(a.size for a in arrays)
    a, b, c = (
        Interval(float(best[i]), float(min(low[i], best[i])), float(max(high[i], best[i])), level, count)
        for i in range(3)
    )
    return PowerLaw(a, b, c, float(n.min()), float(n.max()), parameters)


def crossover(curve_a: PowerLaw, curve_b: PowerLaw) -> Interval | str:
    """The number of images from which the first curve's error stays at most the second's, within the measured sizes.

    The interval compares bootstrap draws pairwise; its upper bound is infinite if too many draws never cross. Curves
    with equal seeds were drawn with the same seeds.

    Returns:
        The size with its interval; or the text ``ahead from N on`` if that is the smallest size N, or ``not reached up
        to N`` if there is no crossover up to the largest size N.
    """
    low, high = max(curve_a.smallest, curve_b.smallest), min(curve_a.largest, curve_b.largest)
    if not low < high:
        raise ValueError(f"the curves have no range of sizes in common: {low:g} to {high:g}")
    sizes = np.geomspace(low, high, GRID)
    crossed = float(_crossovers(sizes, (curve_a.at(sizes) - curve_b.at(sizes))[None])[0])
    if crossed == np.inf:
        return f"not reached up to {high:.0f}"
    if crossed <= low:
        return f"ahead from {low:.0f} on"
    common = min(len(curve_a.parameters), len(curve_b.parameters))
    draws = _crossovers(sizes, curve_a.drawn(sizes)[:common] - curve_b.drawn(sizes)[:common])
    level = curve_a.a.level
    ends = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    count = min(curve_a.a.n, curve_b.a.n)
    return Interval(crossed, float(min(ends[0], crossed)), float(max(ends[1], crossed)), level, count)


def ahead_share(curve_a: PowerLaw, curve_b: PowerLaw, size: float) -> float:
    """The share of bootstrap draws in which the first curve's error at ``size`` is at most the second's."""
    common = min(len(curve_a.parameters), len(curve_b.parameters))
    return float((curve_a.drawn([size])[:common] <= curve_b.drawn([size])[:common]).mean())


def _crossovers(sizes: FloatArray, gaps: FloatArray) -> FloatArray:
    """For each row of ``gaps`` (rows, points), the size from which it stays at or below 0; infinity if it ends above.

    Values between two sizes are interpolated linearly in the logarithm of the size.
    """
    above = gaps > 0
    last = np.where(above.any(axis=1), gaps.shape[1] - 1 - above[:, ::-1].argmax(axis=1), -1)
    found = np.full(len(gaps), np.inf)
    found[last < 0] = sizes[0]
    rows = np.flatnonzero((last >= 0) & (last < gaps.shape[1] - 1))
    left = last[rows]
    before, after = gaps[rows, left], gaps[rows, left + 1]
    steps = np.log(sizes)
    found[rows] = np.exp(steps[left] + (steps[left + 1] - steps[left]) * before / (before - after))
    return found


def _resampled(
    arrays: Sequence[FloatArray], means: FloatArray, level: float, draws: int, rng: np.random.Generator
) -> FloatArray:
    """Bootstrap means of the errors, (draws, points), scaled to the t interval and at least 0."""
    together = len({a.size for a in arrays}) == 1
    shared = rng.integers(arrays[0].size, size=(draws, arrays[0].size)) if together else None
    columns = []
    for array, mean in zip(arrays, means, strict=True):
        n = array.size
        drawn = shared if shared is not None else rng.integers(n, size=(draws, n))
        t, z = float(special.stdtrit(n - 1, 0.5 + level / 2)), float(special.ndtri(0.5 + level / 2))
        columns.append(mean + np.sqrt(n / (n - 1)) * t / z * (array[drawn].mean(axis=1) - mean))
    return np.asarray(np.maximum(np.stack(columns, axis=1), 0), dtype=np.float64)


def _fit(n: FloatArray, errors: FloatArray, weights: FloatArray) -> FloatArray:
    """The least-squares (a, b, c) for each row of ``errors`` (rows, points), shape (rows, 3).

    For a given b, the best a and c are a weighted linear fit in n⁻ᵇ with both at least 0, so only b is searched. Sizes
    are divided by the smallest one for numerical precision.
    """
    scaled = n / n.min()
    lines = [_line(scaled**-b, errors, weights) for b in RATES]
    losses = np.stack([loss for _, _, loss in lines])  # (rates, rows)
    b, step = RATES[np.clip(losses.argmin(axis=0), 1, len(RATES) - 2)], RATES[1] / RATES[0]
    for _ in range(REFINED):
        near = np.stack([b / step, b, b * step])
        best = np.argmin([_line(scaled[None, :] ** -rate[:, None], errors, weights)[2] for rate in near], axis=0)
        b, step = near[best, np.arange(len(errors))], step**0.5
    a, c, _ = _line(scaled[None, :] ** -b[:, None], errors, weights)
    return np.stack([a * n.min() ** b, b, c], axis=1)


def _line(x: FloatArray, y: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """a, c and loss of the weighted fit y = a·x + c with a ≥ 0, c ≥ 0, for each row of ``y`` (rows, points)."""
    mean_x, mean_y = (x * weights).sum(-1), (y * weights).sum(-1)
    centred = x - mean_x[..., None] if x.ndim > 1 else x - mean_x
    slope = (weights * centred * (y - mean_y[:, None])).sum(-1) / (weights * centred**2).sum(-1)
    through_zero = (weights * x * y).sum(-1) / (weights * x**2).sum(-1)  # if c would be negative
    a = np.maximum(slope, 0)
    c = mean_y - a * mean_x
    a, c = np.where(c < 0, through_zero, a), np.maximum(c, 0)
    residual = y - a[:, None] * x - c[:, None]
    return a, c, (weights * residual**2).sum(-1)
