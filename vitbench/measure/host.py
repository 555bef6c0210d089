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
from pathlib import Path
from typing import Literal, TypeAlias

Grade: TypeAlias = Literal["A", "B", "C", "D", "not available"]


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


def read() -> Reading:
    pressure, stat = Path("/proc/pressure/cpu"), Path("/proc/stat")
    try:
        stalled = _some_microseconds(pressure.read_text())
    except OSError:  # no such file, or a kernel that was started with psi=0
        stalled = None
    try:
        ticks = _ticks(stat.read_text())
    except OSError:
        ticks = None
    return Reading(time.monotonic(), stalled, ticks)


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


def grade(pressure: float | None, cpu_share: float = 1.0) -> Grade:
    """The noise grade: A under 5 % pressure, B under 25 %, C under 60 %; D above, or with under 70 % of a core.

    Args:
        pressure: mean share of time in which some task waited for a core, 0 to 1.
        cpu_share: thread CPU time ÷ wall time of the timed calls; 1 on an accelerator, where it says nothing.
    """
    if cpu_share < 0.7:
        return "D"
    if pressure is None:
        return "not available"
    return "A" if pressure < 0.05 else "B" if pressure < 0.25 else "C" if pressure < 0.60 else "D"
