"""What the system says of itself: clock, cores, memory, limits, and who else is working. Linux; elsewhere little.

Everything is read below a root, ``/`` but in tests; nothing here is told by another program. What is not there is None.
"""

from __future__ import annotations

import itertools
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vitbench.utils.threads import VARIABLES

ROOT = Path("/")
ALLOCATORS = ("jemalloc", "tcmalloc", "mimalloc")
BROWSERS = ("firefox", "chrome", "chromium", "brave", "opera", "msedge", "vivaldi", "epiphany", "webkit", "Web Content")


@dataclass(frozen=True)
class Process:
    """Somebody else's work between two looks."""

    pid: int
    name: str
    share: float  # of one core

    @property
    def is_browser(self) -> bool:
        """Whether it is part of a web browser, by its name."""
        return any(browser.lower() in self.name.lower() for browser in BROWSERS)


@dataclass(frozen=True)
class Look:
    """Running totals of processes and limits at one moment; what happened is the difference of two."""

    time: float
    ticks: Mapping[int, tuple[str, int, int]]  # pid → name, ticks on a core so far, tick at which it began
    throttled: int | None  # times that the control group was held back so far
    migrations: int | None  # times that this process changed its core so far


def look(root: Path = ROOT) -> Look:
    """The totals now."""
    processes = {}
    for place in root.glob("proc/[0-9]*"):
        found = _process(place)
        if found is not None:
            processes[int(place.name)] = found
    return Look(
        time=time.monotonic(),
        ticks=processes,
        throttled=_number(root / "sys/fs/cgroup/cpu.stat", r"^nr_throttled (\d+)"),
        migrations=_number(root / "proc/self/sched", r"^se\.nr_migrations\s*:\s*(\d+)"),
    )


def _process(place: Path) -> tuple[str, int, int] | None:
    """Name, ticks and beginning; None where it has ended meanwhile."""
    stat = _text(place / "stat")
    if stat is None or ")" not in stat:
        return None
    name, _, rest = stat.partition("(")[2].rpartition(")")
    fields = rest.split()
    return (
        _named(name, (_text(place / "cmdline") or "").split("\0")),
        int(fields[11]) + int(fields[12]),
        int(fields[19]),
    )


def _named(name: str, words: Sequence[str]) -> str:
    """An interpreter's name with what it runs: ``python -m pytest``, ``python train.py``; other names as they are."""
    if not name.startswith("python"):
        return name
    for word, following in itertools.pairwise([*words[1:], ""]):
        if word in {"-c", "-m"}:
            return f"{name} {word} {following[:60] if word == '-m' else '…'}"
        if word and not word.startswith("-"):
            return f"{name} {word[:60]}"
    return name


def busy(before: Look, after: Look, *, least: float = 0.05, own: int | None = None) -> list[Process]:
    """Other processes that took at least this share of a core between two looks, the busiest first."""
    seconds, tick = after.time - before.time, os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
    found = []
    for pid, (name, ticks, began) in after.ticks.items():
        known = before.ticks.get(pid)
        earlier = known[1] if known is not None and known[2] == began else 0
        share = (ticks - earlier) / tick / seconds if seconds > 0 else 0.0
        if share >= least and pid != (os.getpid() if own is None else own):
            found.append(Process(pid, name, share))
    return sorted(found, key=lambda process: -process.share)


@dataclass(frozen=True)
class Clock:
    """The clock that times everything."""

    call: str  # of the C library
    source: str | None  # of the kernel
    step_s: float  # the smallest step that was seen
    cost_s: float  # of reading it


def clock(root: Path = ROOT) -> Clock:
    """What ``time.perf_counter`` is here: its smallest step, and what reading it costs, measured."""
    steps: list[float] = []
    for _ in range(2000):
        start = end = time.perf_counter()
        while end == start:
            end = time.perf_counter()
        steps.append(end - start)
    costs = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(2000):
            time.perf_counter()
        costs.append((time.perf_counter() - start) / 2000)
    source = _text(root / "sys/devices/system/clocksource/clocksource0/current_clocksource")
    return Clock(time.get_clock_info("perf_counter").implementation, source, min(steps), min(costs))


@dataclass(frozen=True)
class System:
    """How the system is set up."""

    governor: str | None
    quota_cores: float | None  # cores that the control group may use; None: no limit
    siblings: bool | None  # whether two hardware threads share a core
    on_mains: bool | None  # None: no battery
    memory_available: float | None  # share of all memory
    huge_pages: str | None
    allocator: str  # preloaded in the place of the C library's
    variables: Mapping[str, str]  # of the environment, that numerical libraries take their threads from


def system(root: Path = ROOT, environment: Mapping[str, str] = os.environ) -> System:
    """The set-up now."""
    quota = (_text(root / "sys/fs/cgroup/cpu.max") or "max").split()
    total = _number(root / "proc/meminfo", r"^MemTotal:\s+(\d+)")
    available = _number(root / "proc/meminfo", r"^MemAvailable:\s+(\d+)")
    mains = [
        _text(path.parent / "online") for path in root.glob("sys/class/power_supply/*/type") if _text(path) == "Mains"
    ]
    siblings = _text(root / "sys/devices/system/cpu/smt/active")
    pages = re.search(r"\[(\w+)\]", _text(root / "sys/kernel/mm/transparent_hugepage/enabled") or "")
    preloaded = [name for name in ALLOCATORS if name in environment.get("LD_PRELOAD", "")]
    return System(
        governor=_text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        quota_cores=None if quota[0] == "max" else int(quota[0]) / int(quota[1]),
        siblings=None if siblings is None else siblings == "1",
        on_mains="1" in mains if mains else None,
        memory_available=None if not total or available is None else available / total,
        huge_pages=pages[1] if pages else None,
        allocator=preloaded[0] if preloaded else "the C library's",
        variables={name: environment[name] for name in VARIABLES if name in environment},
    )


def _text(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return None


def _number(path: Path, pattern: str) -> int | None:
    found = re.search(pattern, _text(path) or "", flags=re.MULTILINE)
    return int(found[1]) if found else None
