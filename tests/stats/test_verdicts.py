"""Verdicts: the words, which of them wins, and that verdict and interval never disagree."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitbench.stats import ACCURACY, LATENCY, compare_with_holm, detectable_effect, mean_interval, verdict


def units(mean, sd, n):
    """n values of exactly this mean and standard deviation."""
    shape = np.linspace(-1, 1, n)
    return mean + sd * shape / shape.std(ddof=1)


def half(sd, n, level=0.95):
    return mean_interval(units(0, sd, n), level).high


@pytest.mark.parametrize(
    ("x", "metric", "kind", "text"),
    [
        (units(math.log(0.959), 0.01, 12), LATENCY, "faster", r"faster by 4\.1% \[3\.5, 4\.7\]"),
        (units(math.log(1.05), 0.01, 12), LATENCY, "slower", r"slower by 5\.0% \[4\.3, 5\.7\]"),
        (units(0.023, 0.0114, 6), ACCURACY, "better", r"better by 2\.3 points \[1\.1, 3\.5\]"),
        (units(-0.023, 0.0114, 6), ACCURACY, "worse", r"worse by 2\.3 points \[1\.1, 3\.5\]"),
        (units(0.001, 0.005, 12), LATENCY, "equivalent", r"equivalent within ±1% \[−0\.2, \+0\.4\]"),
        (units(0.001, 0.005, 6), ACCURACY, "equivalent", r"equivalent within ±1 point \[−0\.3, \+0\.5\]"),
        (units(0.0, 0.02, 12), LATENCY, "none", r"no difference found; smallest effect detectable 1\.8%"),
        (units(0.0, 0.02, 6), ACCURACY, "none", r"no difference found; smallest effect detectable 2\.9 points"),
        (units(0.0, 0.0318, 12), LATENCY, "inconclusive", r"inconclusive: budget ended at ±2\.02% \(target ±2%\)"),
        (units(0.0, 0.0535, 12), LATENCY, "inconclusive", r"inconclusive: budget ended at ±3\.4% \(target ±2%\)"),
        (
            units(0.05, 0.01, 5),
            ACCURACY,
            "exploratory",
            r"exploratory: 5 seeds, \+5\.0 points, \[\+3\.8, \+6\.2\]; .* 6",
        ),
        ([0.05], ACCURACY, "exploratory", r"exploratory: 1 seed, \+5\.0 points, no interval; a verdict takes 6"),
        ([0.03] * 6, ACCURACY, "untested", r"\+3\.0 points in each of 6 seeds; without spread, no test"),
        ([0.0] * 12, LATENCY, "untested", r"the baseline's work, timed once for both"),
        ([0.0] * 6, ACCURACY, "untested", r"no difference in each of 6 seeds; without spread, no test"),
        (units(3e-4, 1e-4, 12), LATENCY, "slower", r"slower by 0\.030% \[0\.024, 0\.036\]"),
    ],
)
def test_the_words(x, metric, kind, text):
    found = verdict(x, metric)
    assert found.kind == kind
    assert re.fullmatch(text, found.text)


def test_the_first_that_matches_wins():
    """A difference of .3 % is found and lies within the margin: it is a difference."""
    assert verdict(units(0.003, 0.001, 12), LATENCY).kind == "slower"
    assert verdict(units(0.003, 0.001, 12), replace(LATENCY, margin=0.1)).kind == "slower"


def test_rounding_of_a_subtraction_is_no_spread():
    differences = [0.975 - 0.95, 0.955 - 0.93, 0.85 - 0.825, 0.925 - 0.9, 0.775 - 0.75, 0.4 - 0.375]
    assert len(set(differences)) > 1
    assert verdict(differences, ACCURACY).kind == "untested"


def test_detectable_effect_is_at_the_level_holm_tested():
    x = units(0.0, 0.02, 12)
    found = compare_with_holm(dict.fromkeys("abcde", x), LATENCY)
    expected = 100 * math.expm1(detectable_effect(0.02, 12, 0.01))
    assert found["c"].level == pytest.approx(0.99)
    assert found["c"].verdict.text == f"no difference found; smallest effect detectable {expected:.1f}%"


def test_family_reports_ratios_and_differences():
    ratio = compare_with_holm({"v": units(math.log(0.9), 0.01, 12)}, LATENCY)["v"]
    assert (ratio.value, ratio.level, ratio.n) == pytest.approx((0.9, 0.95, 12))
    assert ratio.low == pytest.approx(0.9 * math.exp(-half(0.01, 12)))
    difference = compare_with_holm({"v": units(-0.02, 0.01, 8)}, ACCURACY)["v"]
    assert (difference.value, difference.high) == pytest.approx((-0.02, -0.02 + half(0.01, 8)))
    assert difference.sign_flip_p == pytest.approx(2 / 2**8)


def test_a_failed_control_withholds_every_verdict_and_drift_makes_inconclusive():
    x = {"a": units(0.1, 0.01, 12), "b": units(0.0, 0.01, 12)}
    assert {c.verdict.text for c in compare_with_holm(x, LATENCY, valid=False).values()} == {
        "INVALID: A/A control failed"
    }
    found = compare_with_holm(x, LATENCY, unstable={"a"})
    assert found["a"].verdict.kind == "inconclusive"
    assert found["b"].verdict.kind == "equivalent"


def test_what_was_not_measured_says_why_and_costs_no_level():
    found = compare_with_holm({"a": units(0.05, 0.02, 6)}, ACCURACY, missing={"b": "out of memory"})
    assert found["a"].level == 0.95
    assert found["b"].verdict.text == "not measured: out of memory"
    assert math.isnan(found["b"].value)
    assert found["b"].n == 0


def test_what_is_not_tested_costs_no_level():
    found = compare_with_holm({"a": units(0.05, 0.02, 6), "few": units(0.05, 0.01, 5), "same": [0.01] * 6}, ACCURACY)
    assert found["a"].level == 0.95
    assert math.isnan(found["few"].p)
    assert math.isnan(found["same"].p)


@given(st.integers(1, 5), st.integers(0, 2**31), st.floats(-1, 1))
def test_under_six_seeds_nothing_is_better_or_worse(n, seed, mean):
    x = np.random.default_rng(seed).normal(mean, 0.001, size=n)
    assert compare_with_holm({"v": x}, ACCURACY)["v"].verdict.kind == "exploratory"


@given(st.integers(1, 8), st.integers(2, 14), st.integers(0, 2**31), st.floats(0, 2), st.sampled_from([0.05, 0.035]))
def test_verdict_interval_and_holm_never_disagree(m, n, seed, effect, alpha):
    """However many differ: a verdict of a difference stands exactly where the interval shown excludes none."""
    rng = np.random.default_rng(seed)
    x = {f"v{i}": rng.normal(effect * i / m, 1, size=n) * 0.02 for i in range(m)}
    for metric, null in ((replace(LATENCY, minimum=2), 1.0), (replace(ACCURACY, minimum=2), 0.0)):
        found = compare_with_holm(x, metric, alpha=alpha)
        for comparison in found.values():
            differs = comparison.low > null or comparison.high < null
            assert differs == (comparison.verdict.kind in {"faster", "slower", "better", "worse"})
            assert differs == (comparison.p <= 1 - comparison.level)
            assert 1 - alpha <= comparison.level <= 1 - alpha / m + 1e-12
            if differs:
                up = comparison.verdict.kind in {"slower", "better"}
                assert up == (comparison.value > null)


@given(st.integers(6, 14), st.integers(0, 2**31), st.floats(0.0001, 0.03))
def test_equivalent_means_that_the_90_percent_interval_lies_within_the_margin(n, seed, sd):
    x = np.random.default_rng(seed).normal(0, sd, size=n)
    found = verdict(x, ACCURACY)
    inside = mean_interval(x, 0.9).within(-0.01, 0.01)
    assert (found.kind == "equivalent") == (inside and not mean_interval(x).excludes(0))


@pytest.mark.slow
def test_family_error_of_ten_nulls():
    """Target 10 of MEASUREMENT.md: at most 7.5 % of 1,000 families, whose variants share a noisy baseline."""
    rng = np.random.default_rng(7)
    errors = 0
    for _ in range(1000):
        baseline = rng.normal(0, 0.02, size=12)
        found = compare_with_holm({str(i): rng.normal(0, 0.02, size=12) - baseline for i in range(10)}, LATENCY)
        errors += any(c.verdict.kind in {"faster", "slower"} for c in found.values())
    assert errors <= 75


def test_false_claims_without_correction_would_fail_that():
    """The check above has teeth: single comparisons at 95 % err in over 20 % of the same families."""
    rng = np.random.default_rng(7)
    errors = 0
    for _ in range(300):
        baseline = rng.normal(0, 0.02, size=12)
        variants = [rng.normal(0, 0.02, size=12) - baseline for _ in range(10)]
        errors += any(verdict(x, LATENCY).kind in {"faster", "slower"} for x in variants)
    assert errors > 60
