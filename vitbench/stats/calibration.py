"""How sure a classifier is, against how often it is right; shares of a test split with their intervals.

Expected calibration error is the mean gap between confidence and accuracy over bins of confidence (Naeini et al. 2015;
Guo et al. 2017). The plain estimate is too large: with so many images a bin, a perfectly calibrated model shows a gap
too. So value and interval here are found by asking which true error would have shown what was seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from vitbench.stats.estimates import FloatArray, Interval

SCALES = 2.0 * np.linspace(0, 1, 33) ** 1.5
"""Multiples of the gaps seen that are tried as true gaps; denser near 0, where the plain estimate misleads most."""


@dataclass(frozen=True)
class CalibrationError:
    """Expected calibration error, as a fraction.

    ``plain`` is the textbook's number; ``expected`` is what it would have been, on average, for a model of the same
    confidences without any error. ``error`` is freed from that: the true error under which ``plain`` would have been
    the median, with the errors under which it would not have been unusual.
    """

    error: Interval
    plain: float
    expected: float


def wilson_interval(correct: int, n: int, level: float = 0.95) -> Interval:
    """A share ``correct`` / ``n`` with Wilson's score interval (1927), which never leaves [0, 1].

    Raises:
        ValueError: no trials, or more successes than trials.
    """
    if not 0 <= correct <= n or n < 1:
        raise ValueError(f"{correct} of {n} is no share: it takes 1 or more, and at most all of them correct")
    share, z = correct / n, float(special.ndtri(0.5 + level / 2))
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * float(np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)))
    low = 0.0 if correct == 0 else middle - half
    high = 1.0 if correct == n else middle + half
    return Interval(share, low, high, level, n)


def per_class_accuracy(correct: ArrayLike, labels: ArrayLike, num_classes: int) -> FloatArray:
    """The share of each class' images that were named correctly, shape (num_classes,); NaN for a class without any.

    Args:
        correct: (images,), 0 or 1.
        labels: (images,), the true classes, from 0.
        num_classes: how many there are.
    """
    right, true = np.asarray(correct, dtype=np.float64), _labels(labels, num_classes)
    if right.shape != true.shape:
        raise ValueError(f"takes one outcome a label, got shapes {right.shape} and {true.shape}")
    counts = np.bincount(true, minlength=num_classes).astype(np.float64)
    counts[counts == 0] = np.nan
    return np.bincount(true, weights=right, minlength=num_classes) / counts


def softmax(logits: ArrayLike) -> FloatArray:
    """Probabilities over the last axis."""
    shifted = np.asarray(logits, dtype=np.float64)
    powers = np.exp(shifted - shifted.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float64)


def expected_calibration_error(
    probabilities: ArrayLike,
    labels: ArrayLike,
    bins: int = 15,
    *,
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
) -> CalibrationError:
    """Expected calibration error of the class named, over equally wide bins of its probability.

    The interval is of a parametric bootstrap over images, turned round: for true gaps of 0 to 2 times those that were
    seen, test splits of the same size are drawn, and those errors are kept that would have shown the plain estimate
    within the middle ``level`` of their draws. It reaches down to 0 exactly where a perfectly calibrated model could
    have shown it.

    Args:
        probabilities: (images, classes), each row a distribution.
        labels: (images,), the true classes, from 0.
        bins: of equal width over [0, 1].
        level: of the interval.
        draws: test splits a true error.
        seed: of the draws.

    Raises:
        ValueError: shapes that do not go together, or rows that are no distributions.
    """
    table = np.asarray(probabilities, dtype=np.float64)
    if table.ndim != 2 or not table.size:
        raise ValueError(f"takes probabilities of shape (images, classes), got {table.shape}")
    true = _labels(labels, table.shape[1])
    if true.shape != table.shape[:1]:
        raise ValueError(f"takes one label an image, got {true.shape} for {table.shape}")
    if not (np.isfinite(table).all() and table.min() >= 0 and np.allclose(table.sum(axis=1), 1, atol=1e-3)):
        raise ValueError("takes rows of probabilities that add up to 1")
    n = len(table)
    confidence = table.max(axis=1)
    right = table.argmax(axis=1) == true
    # a bin holds its upper edge, as Guo et al. have it; 1 lies in the last
    home = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(home, minlength=bins)
    filled = counts > 0
    counts = counts[filled]
    sure = np.bincount(home, weights=confidence, minlength=bins)[filled] / counts
    gaps = np.bincount(home, weights=right, minlength=bins)[filled] / counts - sure
    plain = float(counts @ np.abs(gaps) / n)

    rng = np.random.default_rng(seed)
    tail = (1 - level) / 2
    errors, quantiles = np.empty(len(SCALES)), np.empty((len(SCALES), 3))
    expected = plain
    for i, scale in enumerate(SCALES):
        rates = np.clip(sure + scale * gaps, 0, 1)
        errors[i] = counts @ np.abs(rates - sure) / n
        sizes = rng.multinomial(n, counts / n, size=draws)
        shown = np.abs(rng.binomial(sizes, rates) - sizes * sure).sum(axis=1) / n
        quantiles[i] = np.quantile(shown, [tail, 0.5, 1 - tail])
        if not i:
            expected = float(shown.mean())
    # an error can only grow with the scale; what wobbles in the draws must not turn the search round
    lowest, middle, highest = np.maximum.accumulate(quantiles, axis=0).T
    value, low, high = (_reached(plain, line, errors) for line in (middle, highest, lowest))
    return CalibrationError(Interval(value, low, high, level, n), plain, expected)


def _reached(plain: float, line: FloatArray, errors: FloatArray) -> float:
    """The true error at which a quantile of what is shown, rising along ``line``, reaches what was shown."""
    if plain <= line[0]:
        return 0.0
    return float(np.interp(plain, line, errors))


def _labels(labels: ArrayLike, num_classes: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    true = np.asarray(labels)
    if true.ndim != 1 or true.dtype.kind not in "iu":
        raise ValueError(f"takes labels as whole numbers of shape (images,), got {true.dtype} of {true.shape}")
    if true.size and not 0 <= true.min() <= true.max() < num_classes:
        raise ValueError(f"labels run from {true.min()} to {true.max()}, outside the {num_classes} classes")
    return true.astype(np.int64)
