"""Calibration error and accuracies of a classifier, with intervals over images.

Expected calibration error is the mean gap between confidence and accuracy over bins of confidence (Naeini et al. 2015;
Guo et al. 2017). The plain estimate is biased upwards: with finitely many images per bin, even a perfectly calibrated
model shows a gap. The value and interval here are the true errors that are consistent with the plain estimate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from vitbench.stats.estimates import FloatArray, Interval

SCALES = 2.0 * np.linspace(0, 1, 33) ** 1.5
"""Multiples of the observed gaps tried as true gaps; denser near 0, where the plain estimate is most biased."""


@dataclass(frozen=True)
class CalibrationError:
    """Expected calibration error, as a fraction.

    ``plain`` is the textbook estimate; ``expected`` is its mean for a perfectly calibrated model with the same
    confidences. ``error`` corrects this bias: its value is the true error under which ``plain`` would be the median,
    its interval the true errors under which ``plain`` would not be unusual.
    """

    error: Interval
    plain: float
    expected: float


def wilson_interval(correct: int, n: int, level: float = 0.95) -> Interval:
    """The share ``correct`` / ``n`` with Wilson's score interval (1927), which stays within [0, 1].

    Raises:
        ValueError: ``n`` is 0, or ``correct`` is not between 0 and ``n``.
    """
    if not 0 <= correct <= n or n < 1:
        raise ValueError(f"{correct} of {n} is not a share: n must be at least 1, and correct between 0 and n")
    share, z = correct / n, float(special.ndtri(0.5 + level / 2))
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * float(np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)))
    low = 0.0 if correct == 0 else middle - half
    high = 1.0 if correct == n else middle + half
    return Interval(share, low, high, level, n)


def per_class_accuracy(correct: ArrayLike, labels: ArrayLike, num_classes: int) -> FloatArray:
    """The accuracy of each class, (num_classes,); NaN for a class without images.

    Args:
        correct: (images,), 0 or 1.
        labels: (images,), the true classes, from 0.
        num_classes: number of classes.
    """
    right, true = np.asarray(correct, dtype=np.float64), _labels(labels, num_classes)
    if right.shape != true.shape:
        raise ValueError(f"expected one outcome per label, got shapes {right.shape} and {true.shape}")
    counts = np.bincount(true, minlength=num_classes).astype(np.float64)
    counts[counts == 0] = np.nan
    return np.bincount(true, weights=right, minlength=num_classes) / counts


def softmax(logits: ArrayLike) -> FloatArray:
    """Softmax over the last axis."""
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
    """Expected calibration error of the predicted class, over equally wide bins of its probability.

    The interval inverts a parametric bootstrap over images. For true gaps of 0 to 2 times the observed ones, test
    splits of the same size are drawn; the interval contains the errors for which the plain estimate lies in the
    central ``level`` of the draws. It includes 0 if a perfectly calibrated model could have given the estimate.

    Args:
        probabilities: (images, classes), each row a distribution.
        labels: (images,), the true classes, from 0.
        bins: number of bins of equal width over [0, 1].
        level: confidence level of the interval.
        draws: number of test splits drawn per true error.
        seed: seed of the draws.

    Raises:
        ValueError: the shapes do not match, or a row is not a distribution.
    """
    table = np.asarray(probabilities, dtype=np.float64)
    if table.ndim != 2 or not table.size:
        raise ValueError(f"expected probabilities of shape (images, classes), got {table.shape}")
    true = _labels(labels, table.shape[1])
    if true.shape != table.shape[:1]:
        raise ValueError(f"expected one label per image, got {true.shape} for {table.shape}")
    if not (np.isfinite(table).all() and table.min() >= 0 and np.allclose(table.sum(axis=1), 1, atol=1e-3)):
        raise ValueError("each row of probabilities must add up to 1")
    n = len(table)
    confidence = table.max(axis=1)
    right = table.argmax(axis=1) == true
    # a bin includes its upper edge, as in Guo et al.
    bin_of = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(bin_of, minlength=bins)
    filled = counts > 0
    counts = counts[filled]
    mean_confidence = np.bincount(bin_of, weights=confidence, minlength=bins)[filled] / counts
    gaps = np.bincount(bin_of, weights=right, minlength=bins)[filled] / counts - mean_confidence
    plain = float(counts @ np.abs(gaps) / n)

    rng = np.random.default_rng(seed)
    tail = (1 - level) / 2
    errors, quantiles = np.empty(len(SCALES)), np.empty((len(SCALES), 3))
    expected = plain
    for i, scale in enumerate(SCALES):
        rates = np.clip(mean_confidence + scale * gaps, 0, 1)
        errors[i] = counts @ np.abs(rates - mean_confidence) / n
        sizes = rng.multinomial(n, counts / n, size=draws)
        shown = np.abs(rng.binomial(sizes, rates) - sizes * mean_confidence).sum(axis=1) / n
        quantiles[i] = np.quantile(shown, [tail, 0.5, 1 - tail])
        if not i:
            expected = float(shown.mean())
    # quantiles grow with the scale; remove the noise of the draws so that they can be inverted
    lowest, middle, highest = np.maximum.accumulate(quantiles, axis=0).T
    value, low, high = (_inverse(plain, curve, errors) for curve in (middle, highest, lowest))
    return CalibrationError(Interval(value, low, high, level, n), plain, expected)


def _inverse(plain: float, quantiles: FloatArray, errors: FloatArray) -> float:
    """The true error at which the quantile of the plain estimate reaches ``plain``; 0 if it does so from the start."""
    if plain <= quantiles[0]:
        return 0.0
    return float(np.interp(plain, quantiles, errors))


def _labels(labels: ArrayLike, num_classes: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    true = np.asarray(labels)
    if true.ndim != 1 or true.dtype.kind not in "iu":
        raise ValueError(f"expected integer labels of shape (images,), got {true.dtype} of {true.shape}")
    if true.size and not 0 <= true.min() <= true.max() < num_classes:
        raise ValueError(f"labels run from {true.min()} to {true.max()}, outside the {num_classes} classes")
    return true.astype(np.int64)
