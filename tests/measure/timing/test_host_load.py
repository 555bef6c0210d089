"""Pressure, steal and grades, worked by hand."""

from __future__ import annotations

import re
import sys
import threading
from collections import namedtuple
from pathlib import Path

import pytest

from vitbench.measure.timing import host_load
from vitbench.measure.timing.host_load import Reading

PRESSURE = "some avg10=1.05 avg60=0.77 avg300=0.39 total=6792706\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=12"
TIMES = {"user": 1.0, "nice": 0.05, "system": 0.2, "idle": 8.0, "iowait": 0.1, "irq": 0.0, "softirq": 0.05}
LINUX = {**TIMES, "steal": 0.6, "guest": 0.07, "guest_nice": 0.03}


def system(monkeypatch, pressure, times):
    monkeypatch.setattr(host_load, "read_text", lambda _: pressure)
    monkeypatch.setattr(host_load.psutil, "cpu_times", lambda: namedtuple("Times", times)(**times))  # noqa: PYI024


def test_the_systems_totals_are_read(monkeypatch):
    """Guest time is part of user time and must not be counted twice."""
    system(monkeypatch, PRESSURE, LINUX)
    found = host_load.read()
    assert (found.stalled_us, found.steal_s, found.cpu_s) == (6792706, 0.6, pytest.approx(10.0))


def test_shares_are_differences_of_totals():
    before, after = Reading(10.0, 1_000_000, 0.60, 10.0), Reading(14.0, 2_000_000, 0.85, 11.0)
    assert before.pressure(after) == pytest.approx(0.25)
    assert before.steal(after) == pytest.approx(0.25)


def test_what_is_not_available_is_none():
    nothing, later = Reading(0.0, None, None, 0.0), Reading(1.0, 5, 1.0, 2.0)
    assert nothing.pressure(later) is nothing.steal(later) is None
    assert later.pressure(later) is later.steal(later) is None


def test_a_system_that_reports_neither(monkeypatch):
    system(monkeypatch, None, TIMES)
    assert host_load.read().stalled_us is host_load.read().steal_s is None


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


@pytest.mark.skipif(sys.platform != "linux", reason="pressure-stall information and thread usage exist on Linux only")
def test_readings_of_this_machine_are_totals():
    first, second = host_load.read(), host_load.read()
    ticks = [int(field) / 100 for field in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    assert 0 < first.cpu_s <= second.cpu_s <= sum(ticks)
    assert 0 <= first.steal_s <= second.steal_s <= ticks[7]
    assert second.time >= first.time
    assert host_load.load() >= 0


@pytest.mark.parametrize(
    ("tunables", "said"),
    [
        ("", "as it comes"),
        ("glibc.cpu.x86_shstk=on", "as it comes"),
        ("glibc.malloc.trim_threshold=2:glibc.malloc.mmap_threshold=1", "mmap_threshold 1, trim_threshold 2"),
    ],
)
def test_the_allocators_settings(monkeypatch, tunables, said):
    monkeypatch.setenv("GLIBC_TUNABLES", tunables)
    assert host_load.allocator() == said


@pytest.mark.skipif(sys.platform != "linux", reason="pressure-stall information and thread usage exist on Linux only")
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
