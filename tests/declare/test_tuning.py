"""Tuning: tries are the same for all, spread over the range, and the winner is the best by validation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitbench.declare.tuning import Tuning, points
from vitbench.records.record import Record
from vitbench.records.tuning_outcome import Chosen, chosen, finished

OWN = (2e-3, 0.05)


@given(tries=st.integers(1, 40), low=st.floats(1e-6, 1e-2), factor=st.floats(1.01, 1e4))
def test_the_recipes_own_values_come_first_and_the_rest_lies_in_the_range(tries, low, factor):
    tuning = Tuning(tries=tries, lr=(low, low * factor), weight_decay=(low, low * factor))
    found = points(tuning, OWN)
    assert found[0] == OWN
    assert len(found) == tries
    for lr, decay in found[1:]:
        assert low * 0.995 <= min(lr, decay) <= max(lr, decay) <= low * factor * 1.005  # three digits are kept


def test_fewer_tries_are_the_first_of_more():
    assert points(Tuning(tries=30), OWN)[:7] == points(Tuning(tries=7), OWN)


def test_tries_are_log_uniform():
    """Each fifth of the range, in logarithms, gets its share: of 500 points 100 each, to within a few."""
    tuning = Tuning(tries=501, lr=(1e-4, 1e-1), weight_decay=(1e-3, 1.0))
    for values, (low, high) in zip(
        zip(*points(tuning, OWN)[1:], strict=True), (tuning.lr, tuning.weight_decay), strict=True
    ):
        shares = np.log(np.array(values) / low) / math.log(high / low)
        assert np.abs(np.histogram(shares, bins=5, range=(0, 1))[0] - 100).max() <= 4


def record(name, score, seconds=1.0, **changes):
    values = {"val_accuracy": score, "diverged": score is None}
    return Record(id=name, ablation="t", kind="tuning", variant="v", values=values, seconds=seconds, **changes)


PLAN = {
    "tuning": {
        "of": {"v": "v", "w": "v"},
        "tried": {
            "v": [
                {"lr": 0.1, "weight_decay": 0.0, "ids": ["a0", "a1"]},
                {"lr": 0.2, "weight_decay": 0.5, "ids": ["b0", "b1"]},
                {"lr": 0.3, "weight_decay": 0.6, "ids": ["c0", "c1"]},
            ]
        },
    }
}


def test_the_best_mean_wins_and_serves_everyone_it_was_tried_for():
    scores = {"a0": 0.5, "a1": 0.7, "b0": 0.9, "b1": 0.4, "c0": 0.99, "c1": None}
    found = chosen(PLAN, [record(name, score, seconds=2.0) for name, score in scores.items()])
    assert found["v"] == Chosen(0.2, 0.5, 1, pytest.approx(0.65), tries=3, failed=1, seconds=12.0, of="v")
    assert found["w"] == found["v"]


def test_of_equal_tries_the_first_wins():
    found = chosen(PLAN, [record(name, 0.5) for name in ("a0", "a1", "b0", "b1", "c0", "c1")])
    assert found["v"].number == 0


def test_a_try_that_crashed_is_out_unless_it_was_made_good():
    rows = [record(name, 0.5) for name in ("a0", "a1", "b1", "c0", "c1")]
    crashed = record("b0", 0.99, status="timeout")
    assert chosen(PLAN, [crashed, *rows])["v"].failed == 1
    assert chosen(PLAN, [crashed, *rows, record("b0", 0.99)])["v"].number == 1


def test_nobody_wins_before_every_try_is_recorded_or_where_all_failed():
    rows = [record(name, 0.5) for name in ("a0", "a1", "b0", "b1", "c0")]
    assert (chosen(PLAN, rows), finished(PLAN, rows)) == ({}, set())
    failed = [record(name, None) for name in ("a0", "a1", "b0", "b1", "c0", "c1")]
    assert (chosen(PLAN, failed), finished(PLAN, failed)) == ({}, {"v", "w"})
    assert chosen({"tuning": None}, rows) == chosen({}, rows) == {}
