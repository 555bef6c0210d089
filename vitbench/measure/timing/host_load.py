"""How busy the host is: CPU pressure, steal, load and involuntary context switches.

Pressure is the share of time in which at least one task on the machine waits for a core (pressure-stall information,
Documentation/accounting/psi.rst in the kernel). Steal is the share of processor time that a hypervisor gives to other
machines. On a quiet machine both are near 0; the higher they are, the less a timing is worth. What the system does not
report is None.
"""

from __future__ import annotations

import os
import re
import sys
import time
from dataclasses import dataclass

import psutil

from vitbench.devices.host_files import read_text
from vitbench.stats.timing_diagnostics import Grade, grade

__all__ = ["Grade", "Reading", "allocator", "grade", "involuntary_switches", "load", "read"]


@dataclass(frozen=True)
class Reading:
    """Running totals at one moment; the difference of two readings describes the time between them."""

    time: float
    stalled_us: int | None  # time in which some task waited for a core
    steal_s: float | None  # of all cores
    cpu_s: float  # of all cores, idle time included

    def pressure(self, later: Reading) -> float | None:
        """Share of the time until ``later``, 0 to 1, in which some task waited for a core."""
        if self.stalled_us is None or later.stalled_us is None or later.time <= self.time:
            return None
        return min(1.0, (later.stalled_us - self.stalled_us) / 1e6 / (later.time - self.time))

    def steal(self, later: Reading) -> float | None:
        """Share of the processor time until ``later``, 0 to 1, that the hypervisor gave to others."""
        if self.steal_s is None or later.steal_s is None or later.cpu_s <= self.cpu_s:
            return None
        return (later.steal_s - self.steal_s) / (later.cpu_s - self.cpu_s)


def read() -> Reading:
    """The totals now."""
    some = re.search(r"^some .*total=(\d+)", read_text("/proc/pressure/cpu") or "", flags=re.MULTILINE)
    times = psutil.cpu_times()._asdict()
    total = sum(seconds for name, seconds in times.items() if not name.startswith("guest"))  # user includes guests
    return Reading(time.monotonic(), int(some[1]) if some else None, times.get("steal"), total)


def allocator() -> str:
    """The glibc allocator settings in this process' environment; "as it comes" where there are none."""
    tunables = dict(part.partition("=")[::2] for part in os.environ.get("GLIBC_TUNABLES", "").split(":") if part)
    malloc = sorted(name for name in tunables if name.startswith("glibc.malloc."))
    return ", ".join(f"{name.removeprefix('glibc.malloc.')} {tunables[name]}" for name in malloc) or "as it comes"


def load() -> float:
    """The number of runnable tasks, averaged over one minute."""
    return float(psutil.getloadavg()[0])


if sys.platform == "linux":
    import resource

    def involuntary_switches() -> int:
        """The number of times this thread has been taken off its core so far."""
        return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw

else:

    def involuntary_switches() -> int:
        """The number of times this thread has been taken off its core so far; 0 because this system does not say."""
        return 0
