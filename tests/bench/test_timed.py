"""What the harness costs inside a timed call, and around it: ``nox -s bench``. Under 1 µs is the target."""

import time

import pytest

from tests.bench.timing_method import harness_cost_s
from vitbench.measure.timing.sample import timed
from vitbench.measure.timing.subject import Subject

pytestmark = pytest.mark.benchmark(group="harness, one timed call")


def nothing():
    return None


def test_around_a_timed_call(benchmark):
    """All of it: the clock, thread time, switches, announcing; none of which is inside but the clock."""
    benchmark(timed, "nothing", nothing, Subject(nothing, None), 1, time.perf_counter)


def test_inside_a_timed_call(benchmark):
    """What an empty callable is said to take is the harness's own share; it stands in ``extra_info``."""
    benchmark.extra_info["inside_us"] = 1e6 * benchmark.pedantic(harness_cost_s, args=(1000,), rounds=5)
