"""When a session stops: the looks, widths against the interval's own, and coverage over thousands of stopped runs."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from vitbench import stats


def test_looks_are_the_published_ones():
    assert list(itertools.islice(stats.interim_looks(), 6)) == [12, 18, 27, 41, 62, 93]
    assert list(itertools.islice(stats.interim_looks(2), 5)) == [2, 3, 5, 8, 12]


def test_half_width_is_of_the_ratio():
    logs = np.log([1.1, 1.2, 1.3, 1.25])
    interval = stats.ratio_interval(logs, 0.965)
    assert stats.ratio_half_width(logs) == pytest.approx(interval.half_width)
    assert math.isnan(stats.ratio_half_width([0.1]))


def test_every_ratio_must_be_narrow():
    narrow, wide = [0.0, 0.001, -0.001, 0.0], [0.0, 0.1, -0.1, 0.0]
    assert stats.narrow_enough([narrow, narrow], 0.02)
    assert not stats.narrow_enough([narrow, wide], 0.02)
    assert stats.narrow_enough([], 0.02)
    assert not stats.narrow_enough([[0.1]], 0.02)


def stopped(rng, sd, tails, target=0.02, most=210):
    """Blocks of one run until it stops; block log-ratios around 0 with this spread."""
    draws = sd * (
        rng.standard_normal(most) if tails is None else rng.standard_t(tails, most) / np.sqrt(tails / (tails - 2))
    )
    for n in itertools.takewhile(lambda n: n <= most, stats.interim_looks()):
        if stats.narrow_enough([draws[:n]], target):
            return draws[:n]
    return draws


@pytest.mark.parametrize(("sd", "tails"), [(0.02, None), (0.035, None), (0.05, None), (0.05, 4), (0.08, None)])
def test_coverage_after_the_looks(sd, tails):
    """Target 4 of MEASUREMENT.md on blocks alone; tests/measure/timing/test_calibration.py covers whole sessions."""
    rng = np.random.default_rng(1)
    runs = [stopped(rng, sd, tails) for _ in range(2000)]
    covered = np.mean([not stats.mean_interval(run, stats.NOMINAL).excludes(0) for run in runs])
    assert 0.935 <= covered <= 0.975, (covered, np.mean([len(run) for run in runs]))


def test_a_nominal_95_percent_would_cover_less():
    rng = np.random.default_rng(2)
    runs = [stopped(rng, 0.035, None) for _ in range(2000)]
    nominal, plain = (
        np.mean([not stats.mean_interval(run, level).excludes(0) for run in runs]) for level in (stats.NOMINAL, 0.95)
    )
    assert plain < nominal
    assert plain < 0.95


def test_stopping_at_significance_claims_what_is_not_there():
    """Why width decides: looked at as often, a significant difference is found far more often than in 5 %."""
    rng = np.random.default_rng(3)
    claims = 0
    for _ in range(1000):
        draws = rng.standard_normal(210)
        claims += any(
            stats.paired_p(draws[:n]) < 0.05 for n in itertools.takewhile(lambda n: n <= 210, stats.interim_looks())
        )
    assert claims > 100
