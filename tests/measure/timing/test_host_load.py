"""Pressure, steal and grades, worked by hand."""

from __future__ import annotations

import re
import sys
import threading
from pathlib import Path

import pytest

from vitbench.measure.timing import host_load

PRESSURE = "some avg10=1.05 avg60=0.77 avg300=0.39 total=6792706\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=12\n"
STAT = "cpu  100 5 20 800 10 0 5 60 7 3\ncpu0 1 1 1 1 1 1 1 1 1 1\n"


def test_the_kernels_files_are_read():
    assert host_load._some_microseconds(PRESSURE) == 6792706
    assert host_load._ticks(STAT) == (60, 1000)


def test_shares_are_differences_of_totals():
    before, after = host_load.Reading(10.0, 1_000_000, (60, 1000)), host_load.Reading(14.0, 2_000_000, (85, 1100))
    assert before.pressure(after) == pytest.approx(0.25)
    assert before.steal(after) == pytest.approx(0.25)


def test_what_is_not_available_is_none():
    nothing, later = host_load.Reading(0.0, None, None), host_load.Reading(1.0, 5, (1, 2))
    assert nothing.pressure(later) is nothing.steal(later) is None
    assert later.pressure(later) is later.steal(later) is None


def test_a_missing_file_is_not_available(monkeypatch):
    def refuse(path, flags):
        raise FileNotFoundError(path)

    monkeypatch.setattr(host_load.os, "open", refuse)
    assert host_load.read().stalled_us is host_load.read().ticks is None


@pytest.mark.parametrize(
    ("pressure", "cpu_share", "grade"),
    [
        (0.0, 1.0, "A"),
        (0.049, 0.99, "A"),
        (0.05, 1.0, "B"),
        (0.25, 1.0, "C"),
        (0.60, 1.0, "D"),
        (0.0, 0.69, "D"),
        (None, 1.0, "not available"),
        (None, 0.5, "D"),
    ],
)
def test_grades(pressure, cpu_share, grade):
    assert host_load.grade(pressure, cpu_share) == grade


@pytest.mark.skipif(sys.platform != "linux", reason="pressure-stall information and thread usage are Linux's")
def test_readings_of_this_machine_are_totals():
    first, second = host_load.read(), host_load.read()
    assert first.ticks is not None
    assert second.ticks is not None
    assert second.ticks >= first.ticks
    assert second.time >= first.time
    assert host_load.load() >= 0


@pytest.mark.skipif(sys.platform != "linux", reason="pressure-stall information and thread usage are Linux's")
def test_switches_are_this_threads_own():
    seen = []

    def kernels():
        status = Path("/proc/thread-self/status").read_text()
        return int(re.search(r"^nonvoluntary_ctxt_switches:\s*(\d+)$", status, re.MULTILINE)[1])

    def look():
        seen.extend([kernels(), host_load.involuntary_switches(), kernels()])

    look()
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [*sorted(seen[:3]), *sorted(seen[3:])]
