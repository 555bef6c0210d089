"""Made readings lead to the advice that they call for, and to no other."""

import dataclasses

import pytest

from vitbench.doctor.advice import advise
from vitbench.doctor.readings import Activity, Clock, Process, System

QUIET = {
    "environment": {"threads": 1, "cpu": {"affinity": [0, 1, 2, 3], "cores": 4}},
    "asleep": Activity(2.0, 0.01, 0.0, [], 0, 0),
    "timing": Activity(10.0, 0.02, 0.0, [], 1, 0),
    "clock": Clock("clock_gettime(CLOCK_MONOTONIC)", "tsc", 40e-9, 40e-9),
    "system": System("performance", None, False, True, 0.5, "madvise", "the C library's", {}),
}
UNKNOWN = {
    "environment": {"threads": 1, "cpu": {"affinity": "not available", "cores": 4}},
    "asleep": Activity(2.0, None, None, [], None, None),
    "timing": Activity(10.0, None, None, [], None, None),
    "clock": Clock("clock", None, 1e-9, 1e-9),
    "system": System(None, None, None, None, 0.5, None, "the C library's", {}),
}


@pytest.mark.parametrize("nothing", [QUIET, UNKNOWN], ids=["quiet", "nothing is known"])
def test_without_a_reason_there_is_no_advice(nothing):
    assert advise(**nothing) == []


def changed(**changes):
    """A quiet machine, but for some fields of ``asleep``, ``timing``, ``clock``, ``system``, or the environment."""
    threads, affinity = changes.pop("threads", 1), changes.pop("affinity", [0, 1, 2, 3])
    cpu = {"affinity": affinity, "cores": 4}
    parts = {name: dataclasses.replace(QUIET[name], **fields) for name, fields in changes.items()}
    return {**QUIET, **parts, "environment": {"threads": threads, "cpu": cpu}}


BROWSER = [Process(7, "firefox", 0.5), Process(8, "firefox", 0.4), Process(9, "small", 0.09)]
REASONS = [
    ({"asleep": {"others": [Process(42, "ffmpeg", 0.8)]}}, ["close ffmpeg", "pid 42", "80%"]),
    ({"asleep": {"others": BROWSER}}, ["close firefox", "pid 7, 8", "90%"]),
    ({"asleep": {"pressure": 0.4}}, ["find out what else runs", "another time", "40%"]),
    ({"timing": {"steal": 0.03}}, ["dedicated machine", "hypervisor", "3.0%"]),
    ({"threads": 8}, ["--threads 4 or fewer", "8 threads", "4 cores"]),
    ({"threads": 2, "timing": {"pressure": 0.3}}, ["--threads 1", "30%"]),
    ({"threads": 4, "system": {"siblings": True}}, ["--threads 2 or fewer", "hardware threads"]),
    ({"affinity": [2, 5], "timing": {"migrations": 120}}, ["taskset -c 5 python", "12 times a second"]),
    ({"threads": 2, "timing": {"migrations": 120}}, ["taskset -c 2,3 python", "12 times a second"]),
    (
        {"timing": {"throttled": 31}, "system": {"quota_cores": 1.5}},
        ["raise the container's CPU limit", "1.5 cores", "31 times"],
    ),
    ({"system": {"quota_cores": 0.5}}, ["--threads 1", "0.5 cores for 1 thread"]),
    ({"system": {"memory_available": 0.04}}, ["memory", "4%"]),
    ({"system": {"governor": "powersave"}}, ["cpupower frequency-set -g performance", "powersave"]),
    ({"clock": {"source": "hpet", "cost_s": 1.4e-6}}, ["clocksource=tsc", "hpet", "1.4 µs"]),
    ({"clock": {"cost_s": 2e-6}}, ["faster clock", "2 µs"]),
    ({"system": {"on_mains": False}}, ["plug in", "battery"]),
]


@pytest.mark.parametrize(("changes", "facts"), REASONS, ids=[facts[0] for _, facts in REASONS])
def test_each_reason_has_its_advice(changes, facts):
    (only,) = advise(**changed(**changes))
    assert only.do
    assert only.because
    assert all(fact in str(only) for fact in facts), str(only)


def test_many_busy_programs_are_named_in_part():
    others = [Process(pid, f"p{pid}", 0.5 - pid / 100) for pid in range(1, 8)]
    said = [str(advice) for advice in advise(**changed(asleep={"others": others, "pressure": 0.9}))]
    assert len(said) == 5
    assert all(fact in said[0] for fact in ("p1", "pid 1", "49%"))
    assert all(fact in said[-1] for fact in ("3 more", "132%"))
