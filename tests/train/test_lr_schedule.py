from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitbench.declare.train import TrainConfig
from vitbench.train.lr_schedule import learning_rate


def test_the_schedule_by_hand():
    config = TrainConfig(lr=1.0, warmup_fraction=0.25)
    rates = [learning_rate(step, 16, config) for step in range(16)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[10] == pytest.approx(0.5)
    assert rates[15] == pytest.approx(0.5 * (1 + math.cos(math.pi * 11 / 12)))


@given(st.integers(1, 500), st.floats(0, 0.99), st.floats(1e-5, 1.0))
def test_the_rate_rises_to_lr_once_and_falls_towards_zero(steps, warmup_fraction, lr):
    config = TrainConfig(lr=lr, warmup_fraction=warmup_fraction)
    rates = [learning_rate(step, steps, config) for step in range(steps)]
    peak = rates.index(max(rates))
    assert all(0 < rate <= lr for rate in rates)
    assert rates == sorted(rates[: peak + 1]) + sorted(rates[peak + 1 :], reverse=True)
