"""What the system reports about itself: settings, the clock, and the activity of other processes.

Files of the Linux kernel are read below a root directory, which tests replace. What a system does not report is None.
"""

from __future__ import annotations

import itertools
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import psutil

from vitbench.devices.host_files import read_text
from vitbench.measure.timing import host_load
from vitbench.utils.threads import VARIABLES

ROOT = Path("/")
ALLOCATORS = ("jemalloc", "tcmalloc", "mimalloc")
MIN_SHARE = 0.05
"""Share of a core from which another process is listed."""

Usage: TypeAlias = Mapping[tuple[int, float], tuple[str, float]]
"""(pid, creation time) → name, CPU seconds so far."""


@dataclass(frozen=True)
class Process:
    """The work of another process during a period."""

    pid: int
    name: str
    share: float  # of one core


@dataclass(frozen=True)
class Activity:
    """What the machine did during a period; shares are 0 to 1."""

    seconds: float
    pressure: float | None
    steal: float | None
    others: list[Process]  # the busiest first
    migrations: int | None  # changes of core by this process
    throttled: int | None  # times that the control group's CPU limit stopped its processes


class Monitor:
    """Observes the machine from its construction on."""

    def __init__(self, root: Path = ROOT) -> None:
        """Takes the first reading."""
        self._root = root
        self._start = host_load.read(), usage(), self._counters()

    def activity(self) -> Activity:
        """What happened since the construction."""
        (before, used_before, counted), (after, used) = self._start, (host_load.read(), usage())
        seconds = after.time - before.time
        migrations, throttled = (
            None if old is None or new is None else new - old
            for old, new in zip(counted, self._counters(), strict=True)
        )
        others = busy(used_before, used, seconds)
        return Activity(seconds, before.pressure(after), before.steal(after), others, migrations, throttled)

    def _counters(self) -> tuple[int | None, int | None]:
        """Migrations of this process and throttled periods of its control group so far."""
        return (
            _number(self._root / "proc/self/sched", r"^se\.nr_migrations\s*:\s*(\d+)"),
            _number(self._root / "sys/fs/cgroup/cpu.stat", r"^nr_throttled (\d+)"),
        )


def usage() -> Usage:
    """The CPU time of every other process so far."""
    found = {}
    for process in psutil.process_iter(["name", "cmdline", "cpu_times", "create_time"]):
        info, times = process.info, process.info["cpu_times"]
        if process.pid != os.getpid() and times is not None:
            name = _label(info["name"] or "unknown", info["cmdline"] or [])
            found[process.pid, info["create_time"]] = (name, times.user + times.system)
    return found


def busy(before: Usage, after: Usage, seconds: float) -> list[Process]:
    """The processes that used at least ``MIN_SHARE`` of a core in between, the busiest first."""
    found = [
        Process(key[0], name, (used - before.get(key, ("", 0.0))[1]) / seconds) for key, (name, used) in after.items()
    ]
    return sorted((p for p in found if p.share >= MIN_SHARE), key=lambda process: -process.share)


def _label(name: str, command: Sequence[str]) -> str:
    """The name of a process; for Python with the script or module, as in ``python -m pytest``."""
    if not name.startswith("python"):
        return name
    for word, following in itertools.pairwise([*command[1:], ""]):
        if word in {"-c", "-m"}:
            return f"{name} {word} {following[:60] if word == '-m' else '…'}"
        if word and not word.startswith("-"):
            return f"{name} {word[:60]}"
    return name


@dataclass(frozen=True)
class Clock:
    """The clock of ``time.perf_counter``, which times everything."""

    call: str  # of the C library
    source: str | None  # the kernel's clock source
    step_s: float  # the smallest step seen
    cost_s: float  # of one reading


def clock(root: Path = ROOT) -> Clock:
    """The clock's source, and its smallest step and cost as measured here."""
    batches = [[time.perf_counter() for _ in range(2001)] for _ in range(5)]
    steps = [end - start for batch in batches for start, end in itertools.pairwise(batch) if end > start]
    info = time.get_clock_info("perf_counter")
    return Clock(
        call=info.implementation,
        source=read_text(root / "sys/devices/system/clocksource/clocksource0/current_clocksource"),
        step_s=min(steps, default=info.resolution),
        cost_s=min((batch[-1] - batch[0]) / 2000 for batch in batches),
    )


@dataclass(frozen=True)
class System:
    """The system's settings that affect timings."""

    governor: str | None
    quota_cores: float | None  # cores that the control group may use; None: no limit
    siblings: bool | None  # whether two hardware threads share a core
    on_mains: bool | None  # None: no battery
    memory_available: float  # share of all memory
    huge_pages: str | None
    allocator: str  # the preloaded replacement of malloc, or the C library's
    variables: Mapping[str, str]  # environment variables that set the threads of numerical libraries


def system(root: Path = ROOT, environment: Mapping[str, str] = os.environ) -> System:
    """The settings now."""
    quota = (read_text(root / "sys/fs/cgroup/cpu.max") or "max").split()
    pages = re.search(r"\[(\w+)\]", read_text(root / "sys/kernel/mm/transparent_hugepage/enabled") or "")
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    cores, memory = psutil.cpu_count(logical=False), psutil.virtual_memory()
    preloaded = (name for name in ALLOCATORS if name in environment.get("LD_PRELOAD", ""))
    return System(
        governor=read_text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        quota_cores=None if quota[0] == "max" else int(quota[0]) / int(quota[1]),
        siblings=None if cores is None else psutil.cpu_count() > cores,
        on_mains=battery and battery.power_plugged,
        memory_available=memory.available / memory.total,
        huge_pages=pages and pages[1],
        allocator=next(preloaded, "the C library's"),
        variables={name: environment[name] for name in VARIABLES if name in environment},
    )


def _number(path: Path, pattern: str) -> int | None:
    found = re.search(pattern, read_text(path) or "", flags=re.MULTILINE)
    return int(found[1]) if found else None
