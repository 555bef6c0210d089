"""Calibration and shares: hand-worked examples, known intervals, and coverage on classifiers of known error."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitbench import stats


def two_classes(rng, n, sharpen=1.0):
    """Probabilities of two classes, and labels drawn from what they were before their logits were multiplied."""
    logit = rng.normal(0, 1.2, n)
    labels = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(int)
    shown = 1 / (1 + np.exp(-sharpen * logit))
    return np.stack([1 - shown, shown], axis=1), labels


def true_error(sharpen, bins=15, n=400_000):
    """Expected calibration error of ``two_classes`` in the limit: gaps of probabilities, without any labels drawn."""
    logit = np.abs(np.random.default_rng(0).normal(0, 1.2, n))  # the class named is the likelier one
    true, shown = 1 / (1 + np.exp(-logit)), 1 / (1 + np.exp(-sharpen * logit))
    home = np.ceil(shown * bins).astype(int)
    return sum(abs((true - shown)[home == b].sum()) for b in range(bins + 1)) / n


def test_a_hand_worked_example():
    """Two images at .9, both right: gap .1. Two at .6, one right: gap .1. One at 1.0, wrong: gap 1."""
    probabilities = [[0.9, 0.1], [0.1, 0.9], [0.6, 0.4], [0.6, 0.4], [0.0, 1.0]]
    found = stats.expected_calibration_error(probabilities, [0, 1, 0, 1, 0], bins=10)
    assert found.plain == pytest.approx((0.2 + 0.2 + 1) / 5)
    assert found.error.n == 5


@pytest.mark.parametrize("n", [100, 360, 3000])
def test_a_calibrated_classifier_is_rarely_called_anything_else(n):
    """0 lies inside the interval as often as promised; the plain error exceeds 0 by what is expected of it."""
    rng = np.random.default_rng(n)
    found = [stats.expected_calibration_error(*two_classes(rng, n), draws=200, seed=i) for i in range(80)]
    assert np.mean([f.error.low == 0 for f in found]) >= 0.92  # of 80, where 97.5 in 100 are promised
    assert np.mean([f.plain for f in found]) == pytest.approx(np.mean([f.expected for f in found]), rel=0.1)
    assert np.mean([f.error.value == 0 for f in found]) > 0.33  # a median: above the truth as often as below it


@pytest.mark.parametrize(("sharpen", "n"), [(2.0, 360), (3.0, 360), (0.5, 1000)])
def test_a_planted_error_is_inside_the_interval_at_the_nominal_rate(sharpen, n):
    rng, truth = np.random.default_rng(n), true_error(sharpen)
    found = [stats.expected_calibration_error(*two_classes(rng, n, sharpen), draws=150, seed=i) for i in range(80)]
    inside = np.mean([not f.error.excludes(truth) for f in found])
    assert inside >= 0.9
    assert np.mean([f.error.value for f in found]) == pytest.approx(truth, abs=0.15 * truth)
    assert np.mean([f.plain for f in found]) > truth


def test_it_is_the_same_again():
    probabilities, labels = two_classes(np.random.default_rng(0), 200, 2.0)
    assert stats.expected_calibration_error(probabilities, labels) == stats.expected_calibration_error(
        probabilities, labels
    )


@given(st.integers(1, 60), st.integers(2, 5), st.integers(0, 10**6))
def test_any_classifier_gets_an_error_between_0_and_1(n, classes, seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 4, (n, classes))
    found = stats.expected_calibration_error(stats.softmax(logits), rng.integers(classes, size=n), draws=20)
    assert 0 <= found.error.low <= found.error.value <= found.error.high <= 1
    assert 0 <= found.plain <= 1


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        ([[0.5, 0.4]], [0], "add up to 1"),
        ([[0.5, 0.5]], [2], "outside the 2 classes"),
        ([[0.5, 0.5]], [0, 1], "one label per image"),
        ([0.5, 0.5], [0, 1], "shape"),
        ([[0.5, 0.5]], [0.0], "integer labels"),
        ([[float("nan"), 0.5]], [0], "add up to 1"),
    ],
)
def test_what_is_no_classifier_is_refused(probabilities, labels, message):
    with pytest.raises(ValueError, match=message):
        stats.expected_calibration_error(probabilities, labels)


def test_softmax_adds_up_and_does_not_overflow():
    found = stats.softmax([[1000.0, 0.0], [0.0, np.log(3)]])
    assert found == pytest.approx(np.array([[1, 0], [0.25, 0.75]]))


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_s_interval_is_newcombe_s_table(correct, n, low, high):
    """Newcombe 1998, table I, method 3 (score, without continuity correction)."""
    found = stats.wilson_interval(correct, n)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)
    mirrored = stats.wilson_interval(n - correct, n)
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx((found.low, found.high))


def test_wilson_refuses_what_is_no_share():
    for correct, n in ((1, 0), (3, 2), (-1, 2)):
        with pytest.raises(ValueError, match="is not a share"):
            stats.wilson_interval(correct, n)


def test_accuracy_of_each_class():
    found = stats.per_class_accuracy([1, 0, 1, 1], [0, 0, 2, 2], 4)
    assert found == pytest.approx([0.5, np.nan, 1.0, np.nan], nan_ok=True)
    with pytest.raises(ValueError, match="outside the 2 classes"):
        stats.per_class_accuracy([1], [5], 2)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=1, max_size=50))
def test_the_classes_weighted_by_their_images_are_the_whole(images):
    right, labels = map(np.array, zip(*images, strict=True))
    found = stats.per_class_accuracy(right, labels, 5)
    counts = np.bincount(labels, minlength=5)
    assert np.nansum(found * counts) / counts.sum() == pytest.approx(right.mean())
