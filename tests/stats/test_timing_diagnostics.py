"""Drift against scipy's regression, planted drifts and order effects, phases that add up, and grades."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from vitbench import stats

RNG = np.random.default_rng(0)


def test_drift_is_scipys_slope_test():
    units, times = RNG.normal(size=20), np.sort(RNG.uniform(0, 60, 20))
    assert stats.drift_p(units, times) == pytest.approx(scipy_stats.linregress(times, units).pvalue)


def test_several_processes_have_a_level_each_and_one_slope():
    """Against least squares on a design matrix with an indicator a process."""
    sizes = (8, 12, 9)
    times = np.concatenate([np.sort(RNG.uniform(0, 30, n)) for n in sizes])
    units = 0.01 * times + np.repeat([1.0, -2.0, 0.5], sizes) + RNG.normal(0, 0.1, sum(sizes))
    design = np.column_stack([times, np.repeat(np.eye(3), sizes, axis=0)])
    beta, *_ = np.linalg.lstsq(design, units)
    df = len(units) - 4
    variance = ((units - design @ beta) ** 2).sum() / df * np.linalg.inv(design.T @ design)[0, 0]
    expected = 2 * scipy_stats.t.sf(abs(beta[0]) / math.sqrt(variance), df)
    assert stats.drift_p(units, times, sizes) == pytest.approx(expected)


def test_levels_of_processes_are_no_drift_where_each_has_its_own():
    times = np.tile(np.arange(10.0), 3)
    units = np.repeat([0.0, 0.5, 1.0], 10) + RNG.normal(0, 0.01, 30)
    assert stats.drifts(units, np.arange(30.0))
    assert not stats.drifts(units, times, (10, 10, 10))


def test_no_spread_and_too_few_blocks_are_no_drift():
    assert not stats.drifts([0.1] * 12, np.arange(12))
    assert not stats.drifts([0.1, 0.2], [0, 1])
    assert stats.drifts(np.arange(12) / 100, np.arange(12))


def test_drift_is_seen_in_one_of_a_hundred_where_there_is_none():
    rng = np.random.default_rng(1)
    seen = sum(stats.drifts(rng.normal(size=12), np.arange(12)) for _ in range(2000))
    assert 8 <= seen <= 35


def test_times_must_fit():
    with pytest.raises(ValueError, match="a time for every block"):
        stats.drift_p([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="a time for every block"):
        stats.drift_p([1, 2, 3], [1, 2, 3], (1, 1))


def test_block_midpoints():
    assert stats.block_midpoints([2.0, 4.0, 2.0]).tolist() == [1, 4, 7]


def test_order_effect_is_the_mirrored_passes_ratio_over_the_first_ones():
    calls = np.exp(RNG.normal(0, 0.01, (12, 12)))
    slowed = calls.copy()
    slowed[:, 1::2] *= 1.2
    effect = stats.order_effect(slowed, np.exp(RNG.normal(0, 0.01, (12, 12))))
    assert effect.value == pytest.approx(1.2, rel=0.02)
    assert effect.excludes(1)
    assert not stats.order_effect(calls, np.exp(RNG.normal(0, 0.01, (12, 12)))).excludes(1)


def test_units_of_several_processes_are_their_means():
    assert stats.by_process([1, 3, 5, 7, 9], [2, 3]).tolist() == [2, 7]
    assert stats.by_process([1, 3], None).tolist() == [1, 3]
    assert stats.by_process([1, 3], [2]).tolist() == [1, 3]


@given(st.integers(1, 5), st.integers(1, 13), st.integers(0, 2**32 - 1))
def test_phases_of_the_median_calls_add_up_to_the_median(blocks, calls, seed):
    parts = np.random.default_rng(seed).uniform(1, 2, (3, blocks, calls))
    found = stats.phases_of_median(parts.sum(axis=0), list(parts))
    assert sum(found) == pytest.approx(np.median(parts.sum(axis=0), axis=1))


def test_medians_of_phases_would_not_add_up():
    parts = np.array([[[1.0, 2.0, 9.0]], [[9.0, 1.0, 2.0]], [[2.0, 9.0, 1.0]]])
    whole = parts.sum(axis=0)
    assert np.median(whole) == 12
    assert np.median(parts, axis=2).sum() == 6
    assert sum(stats.phases_of_median(whole, list(parts)))[0] == 12


def test_stalls_are_counted():
    assert stats.stalls([[1.0, 1.1, 0.9, 11.0], [1.0, 1.0, 30.0, 5.0]]) == (2, 30.0)
    assert stats.stalls([[1.0, 2.0, 9.0]]) == (0, 9.0)


@pytest.mark.parametrize(
    ("pressure", "share", "grade"),
    [
        (0.0, 1.0, "A"),
        (0.049, 1.0, "A"),
        (0.05, 1.0, "B"),
        (0.25, 1.0, "C"),
        (0.6, 1.0, "D"),
        (0.0, 0.69, "D"),
        (None, 1.0, "not available"),
        (None, 0.5, "D"),
    ],
)
def test_grades(pressure, share, grade):
    assert stats.grade(pressure, share) == grade
