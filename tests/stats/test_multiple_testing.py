"""Holm's procedure against a hand-worked example and its bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitbench import stats


def test_holm_by_hand():
    # sorted: .003 ≤ .05/4 = .0125; .015 ≤ .05/3 = .0167; .03 > .05/2 = .025, so .04 is not looked at
    steps = stats.holm([0.03, 0.003, 0.04, 0.015])
    assert [step.rejected for step in steps] == [False, True, False, True]
    assert [step.level for step in steps] == pytest.approx([0.025, 0.0125, 0.025, 0.05 / 3])
    assert stats.holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_rejects_where_p_is_at_most_the_level_shown(p_values):
    for p, step in zip(p_values, stats.holm(p_values), strict=True):
        assert step.rejected == (p <= step.level)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_bonferroni_and_no_correction(p_values):
    for p, step in zip(p_values, stats.holm(p_values), strict=True):
        assert not step.rejected or p <= 0.05
        assert step.rejected or p > 0.05 / len(p_values)
