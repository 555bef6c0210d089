"""The roofline against hand-worked machines, and against what must hold of any."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitbench.stats.roofline import Roofline, Work, bound, launch_share, roof, share

MACHINE = Roofline(flop_per_s=100e9, bytes_per_s=10e9, op_s=5e-6)


def work(**changes):
    """10 MFLOP in 1 ms: 10 GFLOP/s, a tenth of the ceiling; intensity 5 to 50."""
    return Work(**{"flops": 10e6, "unfused": 2e6, "compulsory": 0.2e6, "seconds": 1e-3, "ops": 50, **changes})


def test_by_hand():
    assert MACHINE.ridge == 10
    assert [MACHINE.attainable(intensity) for intensity in (1, 10, 100)] == [10e9, 100e9, 100e9]
    one = work()
    assert (one.achieved, one.intensity, one.intensity_at_most) == (10e9, 5, 50)
    assert share(one, MACHINE) == pytest.approx(0.1)
    assert launch_share(one, MACHINE) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "bandwidth"),  # intensity 5 lies left of the ridge at 10, and 10 GFLOP/s under its roof of 50
        ({"unfused": 0.5e6}, "compute"),  # intensity 20: right of the ridge
        ({"ops": 150}, "launch"),  # 0.75 ms of 1 ms, five times the roofline's time
        ({"ops": 150, "seconds": 0.15e-3}, "compute"),  # 67 GFLOP/s break the roof of 50: what counts is intensity 50
        ({"ops": 150, "seconds": 0.3e-3}, "bandwidth"),  # 33 of 50 GFLOP/s: not far above, whatever starting takes
        ({"ops": None}, "bandwidth"),  # compiled: how many are started is not known
        (
            {"unfused": 2e6, "compulsory": 1.5e6, "seconds": 0.12e-3},
            "compute",
        ),  # 83 GFLOP/s break both roofs, 50 and 67
    ],
)
def test_what_holds_it_back(changes, expected):
    assert bound(work(**changes), MACHINE) == expected


def test_a_machine_whose_start_is_not_known_launches_nothing():
    assert bound(work(ops=10_000), Roofline(100e9, 10e9)) == "bandwidth"
    assert launch_share(work(), Roofline(100e9, 10e9)) is None


@pytest.mark.parametrize("rates", [(0, 1), (1, 0), (-1, 1)])
def test_a_ceiling_is_above_zero(rates):
    with pytest.raises(ValueError, match="a ceiling must be above 0"):
        Roofline(*rates)


positive = st.floats(1e-3, 1e12)


@given(
    flops=positive, compulsory=positive, more=st.floats(1, 100), seconds=st.floats(1e-9, 1e3), ops=st.integers(1, 10**6)
)
def test_of_any_work(flops, compulsory, more, seconds, ops):
    own = Work(flops, compulsory * more, compulsory, seconds, ops)
    name, attainable = roof(own, MACHINE)
    assert own.intensity <= own.intensity_at_most * (1 + 1e-12)
    assert attainable <= MACHINE.flop_per_s
    assert (name == "compute") == (attainable == MACHINE.flop_per_s)
    assert own.achieved <= attainable or name == "compute"
    if bound(own, MACHINE) == "launch":
        assert ops * MACHINE.op_s >= seconds / 2
        assert own.achieved <= attainable / 2
