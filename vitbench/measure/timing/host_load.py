"""What the machine did meanwhile: pressure, steal, load, involuntary switches. Linux; elsewhere "not available".

Pressure is the share of time in which some task of the machine waited for a core (pressure-stall information,
Documentation/accounting/psi.rst in the kernel); steal the share that a hypervisor took. On a quiet machine both are
near 0, and timing is only as good as they are low.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass

from vitbench.stats.stability import Grade, grade

__all__ = ["Grade", "Reading", "allocator", "grade", "involuntary_switches", "load", "read"]


def _some_microseconds(pressure: str) -> int:
    """The total of the ``some`` line of /proc/pressure/cpu."""
    some = next(line for line in pressure.splitlines() if line.startswith("some"))
    return int(some.rpartition("total=")[2])


def _ticks(stat: str) -> tuple[int, int]:
    """Stolen and all ticks of the first line of /proc/stat; guest time stands within user time and is left out."""
    fields = [int(field) for field in stat.partition("\n")[0].split()[1:9]]
    return fields[7], sum(fields)


@dataclass(frozen=True)
class Reading:
    """Running totals at one moment; a block is the difference of two."""

    time: float
    stalled_us: int | None
    ticks: tuple[int, int] | None

    def pressure(self, later: Reading) -> float | None:
        """Share of the time between, 0 to 1, in which some task waited for a core; None: not available here."""
        if self.stalled_us is None or later.stalled_us is None or later.time <= self.time:
            return None
        return min(1.0, (later.stalled_us - self.stalled_us) / 1e6 / (later.time - self.time))

    def steal(self, later: Reading) -> float | None:
        """Share of the processor time between, 0 to 1, that the hypervisor took; None: not available here."""
        if self.ticks is None or later.ticks is None or later.ticks[1] <= self.ticks[1]:
            return None
        return (later.ticks[0] - self.ticks[0]) / (later.ticks[1] - self.ticks[1])


def _contents(path: str, size: int = 4096) -> str:
    """The beginning of a file, without what pathlib and text files cost: it is read between blocks."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.read(fd, size).decode()
    finally:
        os.close(fd)


def read() -> Reading:
    try:
        stalled = _some_microseconds(_contents("/proc/pressure/cpu"))
    except OSError:  # no such file, or a kernel that was started with psi=0
        stalled = None
    try:
        ticks = _ticks(_contents("/proc/stat", 512))
    except OSError:
        ticks = None
    return Reading(time.monotonic(), stalled, ticks)


def allocator() -> str:
    """What the C library does with memory that is given back, as far as the environment says it."""
    tunables = dict(part.partition("=")[::2] for part in os.environ.get("GLIBC_TUNABLES", "").split(":") if part)
    kept = sorted(name for name in tunables if name.startswith("glibc.malloc."))
    return ", ".join(f"{name.removeprefix('glibc.malloc.')} {tunables[name]}" for name in kept) or "as it comes"


def load() -> float | None:
    """Runnable tasks, one-minute average; None: not available here."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


if sys.platform == "linux":
    import resource

    def involuntary_switches() -> int:
        """How often this thread was taken off its core so far."""
        return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw

else:

    def involuntary_switches() -> int:
        """How often this thread was taken off its core so far: not known here."""
        return 0
