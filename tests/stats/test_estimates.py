"""Estimates against scipy, closed forms, hand-worked examples, and their coverage in simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from vitbench import stats
from vitbench.stats import estimates

numbers = st.lists(st.floats(-100, 100, allow_subnormal=False), min_size=2, max_size=12)


@given(numbers, st.sampled_from([0.8, 0.95, 0.99]))
def test_mean_interval_is_scipys(values, level):
    interval = stats.mean_interval(values, level)
    if not estimates.has_spread(values):
        assert interval.half_width == pytest.approx(0, abs=1e-9)
        return
    expected = scipy_stats.ttest_1samp(values, 0).confidence_interval(level)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), rel=1e-9, abs=1e-9)


def test_one_value_has_no_interval():
    interval = stats.mean_interval([3.0])
    assert interval.value == 3
    assert math.isnan(interval.low)
    assert not interval.excludes(0)
    assert not interval.within(-10, 10)
    assert math.isnan(stats.paired_p([3.0]))
    assert math.isnan(stats.detectable_effect(1.0, 1))


@pytest.mark.parametrize("bad", [[], [1.0, math.nan], [math.inf], [[1.0, 2.0]]])
def test_what_is_no_sample_is_refused(bad):
    with pytest.raises(ValueError):
        stats.mean_interval(bad)


def test_mean_interval_covers_at_its_level():
    rng = np.random.default_rng(1)
    covered = [not stats.mean_interval(x, 0.9).excludes(2.0) for x in rng.normal(2.0, 3.0, size=(4000, 6))]
    assert np.mean(covered) == pytest.approx(0.9, abs=0.015)


@given(numbers)
def test_hodges_lehmann_is_the_median_of_pairwise_means(values):
    pairs = [(a + b) / 2 for a, b in itertools.combinations_with_replacement(values, 2)]
    assert stats.hodges_lehmann(values) == pytest.approx(np.median(pairs), abs=1e-9)


def test_hodges_lehmann_by_hand():
    # 1, 2, 9: means 1, 1.5, 2, 5, 5.5, 9
    assert stats.hodges_lehmann([1, 2, 9]) == 3.5
    assert stats.hodges_lehmann([[1, 2, 9], [4, 4, 4]]).tolist() == [3.5, 4.0]


def test_a_cycle_is_two_neighbouring_columns():
    baseline = np.ones((1, 6))
    logs = np.array([[0.1, 0.3, -1.0, 1.0, 0.5, 0.7]])  # cycle means 0.2, 0, 0.6: Walsh averages 0 .1 .2 .3 .4 .6
    assert stats.log_ratio_blocks(np.exp(logs), baseline) == pytest.approx([0.25])


@given(st.floats(0.5, 2.0), st.floats(-0.05, 0.05), st.integers(0, 2**31))
def test_mirrored_cycles_cancel_linear_drift(ratio, slope, seed):
    """Log time grows with each call; whatever the order of a pass, a subject's two calls have the same mean moment."""
    rng = np.random.default_rng(seed)
    calls = {name: np.empty((2, 6)) for name in "abc"}
    clock = itertools.count()
    for block, cycle in itertools.product(range(2), range(3)):
        order = rng.permutation(list("abc")).tolist()
        for half, names in enumerate((order, order[::-1])):
            for name in names:
                factor = ratio if name == "b" else 1.0
                calls[name][block, 2 * cycle + half] = 0.007 * factor * math.exp(slope * next(clock))
    assert stats.log_ratio_blocks(calls["b"], calls["a"]) == pytest.approx([math.log(ratio)] * 2, abs=1e-9)
    assert stats.log_ratio_blocks(calls["c"], calls["a"]) == pytest.approx([0, 0], abs=1e-9)


@pytest.mark.parametrize(
    ("variant", "baseline"),
    [(np.ones((2, 3)), np.ones((2, 3))), (np.ones((2, 4)), np.ones((3, 4))), (np.zeros((2, 4)), np.ones((2, 4)))],
    ids=["odd", "unequal", "zero"],
)
def test_log_ratios_refuse_what_is_no_pair_of_sessions(variant, baseline):
    with pytest.raises(ValueError):
        stats.log_ratio_blocks(variant, baseline)


def test_ratio_interval_is_the_exponential():
    logs = np.log([1.02, 1.04, 1.03, 1.05])
    ratio, log = stats.ratio_interval(logs, 0.9), stats.mean_interval(logs, 0.9)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx(np.exp([log.value, log.low, log.high]))
    assert ratio.value == pytest.approx((1.02 * 1.04 * 1.03 * 1.05) ** 0.25)


def test_absolute_latency_is_a_quantile_of_each_block_then_t():
    blocks = np.array([[1, 2, 30], [2, 3, 4], [3, 4, 50]])
    assert stats.latency_interval(blocks) == stats.mean_interval([2, 3, 4])
    assert stats.latency_interval(blocks, quantile=1.0).value == pytest.approx(28)


def test_latency_interval_covers_where_blocks_differ():
    """Placement moves whole blocks by 15 %: t on blocks covers, an interval over all calls would not."""
    rng = np.random.default_rng(2)
    blocks = rng.normal(0, 0.15, size=(2000, 12, 1)) + rng.normal(0, 0.05, size=(2000, 12, 12)) + 7
    ours = [not stats.latency_interval(session).excludes(7) for session in blocks]
    calls = [not stats.mean_interval(session.ravel()).excludes(7) for session in blocks]
    assert np.mean(ours) == pytest.approx(0.95, abs=0.015)
    assert np.mean(calls) < 0.75


@given(numbers)
def test_paired_p_is_scipys(values):
    p = stats.paired_p(values)
    if estimates.has_spread(values):
        assert p == pytest.approx(scipy_stats.ttest_1samp(values, 0).pvalue, rel=1e-6, abs=1e-12)
    else:
        assert math.isnan(p)


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=9))
def test_sign_flip_p_is_the_enumeration(values):
    sums = [abs(np.dot(signs, values)) for signs in itertools.product([1, -1], repeat=len(values))]
    assert stats.sign_flip_p(np.array(values) / 7) == pytest.approx(np.mean(np.array(sums) >= abs(sum(values))))


def test_sign_flip_p_agrees_with_scipys_permutation_test():
    values = np.random.default_rng(3).normal(0.4, 1, size=10)
    expected = scipy_stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert stats.sign_flip_p(values) == pytest.approx(expected.pvalue)


@pytest.mark.parametrize("n", [5, 6, 9, 20])
def test_sign_flip_p_cannot_fall_below_its_floor(n):
    assert stats.sign_flip_p(np.arange(1, n + 1)) == pytest.approx(2 / 2**n)


def test_sign_flip_p_beyond_enumeration_is_near_t_and_repeatable():
    values = np.random.default_rng(4).normal(0.3, 1, size=40)
    assert stats.sign_flip_p(values) == pytest.approx(stats.paired_p(values), abs=0.01)
    assert stats.sign_flip_p(values) == stats.sign_flip_p(values)


@pytest.mark.parametrize(("n", "alpha", "power"), [(6, 0.05, 0.8), (12, 0.05 / 7, 0.8), (4, 0.05, 0.5)])
def test_detectable_effect_has_its_power_in_simulation(n, alpha, power):
    effect = stats.detectable_effect(2.0, n, alpha, power)
    draws = np.random.default_rng(5).normal(effect, 2.0, size=(40_000, n))
    t = draws.mean(axis=1) / (draws.std(axis=1, ddof=1) / math.sqrt(n))
    found = np.abs(t) > scipy_stats.t.isf(alpha / 2, n - 1)
    assert found.mean() == pytest.approx(power, abs=0.01)


def test_2_8_standard_errors_are_not_80_percent_power_at_6_seeds():
    """MEASUREMENT.md: the usual rule of thumb has power 61 % there."""
    assert stats.detectable_effect(1.0, 6, power=0.61) * math.sqrt(6) == pytest.approx(2.8, abs=0.03)


@pytest.mark.parametrize("n", [2, 3, 4, 6, 12, 20, 93, 1000])
def test_detectable_effect_shrinks_with_units_and_grows_with_the_family(n):
    effects = [stats.detectable_effect(1.0, n, 0.05 / m) for m in (1, 2, 10, 50)]
    assert effects == sorted(effects)
    assert stats.detectable_effect(1.0, n + 1) < effects[0]


def test_detectable_effect_is_the_normal_formula_for_many_units():
    expected = (scipy_stats.norm.ppf(0.975) + scipy_stats.norm.ppf(0.8)) / math.sqrt(5000)
    assert stats.detectable_effect(1.0, 5000) == pytest.approx(expected, rel=1e-3)
    assert stats.detectable_effect(0.0, 6) == 0


def test_control_fires_at_its_level():
    rng = np.random.default_rng(6)
    held = [stats.control_holds(x) for x in rng.normal(0, 0.02, size=(4000, 12))]
    assert np.mean(held) == pytest.approx(0.99, abs=0.005)
    assert not stats.control_holds(rng.normal(0.1, 0.02, size=12))
    assert not stats.control_holds([0.0])


@given(st.floats(-3, 3), st.floats(0.1, 10), st.lists(st.integers(1, 1000), min_size=2, max_size=8, unique=True))
def test_exponent_of_an_exact_power(b, a, xs):
    y = a * np.array(xs, dtype=float) ** b
    fit = stats.exponent(xs, y)
    assert fit.value == pytest.approx(b, abs=1e-8)
    assert math.isnan(fit.low) == (len(xs) == 2)


def test_exponent_is_scipys_regression_of_logarithms():
    x = np.array([1.0, 2, 4, 8, 16])
    y = x**1.5 * np.exp([0.02, -0.03, 0.01, 0.04, -0.02])
    expected = scipy_stats.linregress(np.log(x), np.log(y))
    fit = stats.exponent(x, y, 0.9)
    assert fit.value == pytest.approx(expected.slope)
    assert fit.half_width == pytest.approx(scipy_stats.t.ppf(0.95, 3) * expected.stderr)


@pytest.mark.parametrize(("x", "y"), [([1, 1], [2, 3]), ([1, 2], [0, 1]), ([1, 2, 3], [1, 2]), ([-1, 2], [1, 2])])
def test_exponent_refuses_what_has_no_slope(x, y):
    with pytest.raises(ValueError):
        stats.exponent(x, y)


def test_every_name_of_the_room_resolves():
    assert all(hasattr(stats, name) for name in stats.__all__)
    assert set(dir(stats)) == set(stats.__all__)
    with pytest.raises(AttributeError, match="no attribute 'mean'"):
        _ = stats.mean
