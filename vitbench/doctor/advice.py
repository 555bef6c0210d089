"""What to change for better numbers, each only where its reason was measured. Pure: readings in, sentences out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vitbench.doctor.readings import Clock, Process, System

BUSY = 0.10  # of a core: who takes less is let be
NAMED = 4  # processes that are named one by one
QUIET, LOUD = 0.05, 0.25  # pressure: the ends of grades A and B
STOLEN = 0.01
SLOW_CLOCK_S = 1e-6
GOOD_CLOCKS = ("tsc", "kvm-clock", "xen", "hyperv_clocksource_tsc_page", "arch_sys_counter")
MIGRATIONS_PER_S = 2.0
LITTLE_MEMORY = 0.1


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What was measured. Shares are 0 to 1; None: not available here."""

    threads: int  # that numbers are asked for
    affinity: Sequence[int]  # the cores that this process may use
    all_cores: int
    pressure: float | None  # share of time in which some task waited for a core, while this process slept
    pressure_timing: float | None  # the same, while it timed
    steal: float | None
    others: Sequence[Process]  # the busiest first
    migrations_per_s: float | None  # changes of core while timing
    throttled: int | None  # times that the control group was held back while timing
    clock: Clock
    system: System

    @property
    def cores(self) -> int:
        """How many this process may use."""
        return len(self.affinity)


@dataclass(frozen=True)
class Advice:
    """What to do, and what was measured that says so."""

    do: str
    because: str

    def __str__(self) -> str:
        return f"{self.do}: {self.because}"


def advise(found: Condition) -> list[Advice]:
    """What would make the numbers better, what helps most first; nothing where nothing was seen."""
    return [*_others(found), *_threads(found), *_limits(found), *_set_up(found)]


def _others(found: Condition) -> Iterator[Advice]:
    """Who else is working."""
    loud = [process for process in found.others if process.share >= BUSY]
    browser = [process for process in loud if process.is_browser]
    if browser:
        share, pids = sum(process.share for process in browser), ", ".join(str(p.pid) for p in browser[:NAMED])
        yield Advice(f"close the browser ({browser[0].name}, pid {pids})", f"it takes {_percent(share)} of a core")
    rest = [process for process in loud if not process.is_browser]
    for process in rest[:NAMED]:
        yield Advice(f"close {process.name} (pid {process.pid})", f"it takes {_percent(process.share)} of a core")
    if len(rest) > NAMED:
        share = sum(process.share for process in rest[NAMED:])
        yield Advice(f"close {len(rest) - NAMED} more processes", f"together they take {_percent(share)} of a core")
    if not loud and found.pressure is not None and found.pressure >= QUIET:
        yield Advice(
            "find out what else runs here, or measure at another time",
            f"some task waited for a core {_percent(found.pressure)} of the time while this process slept, and no "
            f"process that it can see takes {_percent(BUSY)} of a core: another container's, or many short ones",
        )
    if found.steal is not None and found.steal >= STOLEN:
        yield Advice(
            "measure at another time, or on a machine of your own",
            f"the hypervisor gave {100 * found.steal:.1f}% of the processor time to others",
        )


def _threads(found: Condition) -> Iterator[Advice]:
    """How many threads, and where."""
    waiting = found.pressure_timing
    if found.threads > found.cores:
        yield Advice(f"use --threads {found.cores}, or fewer", f"{found.threads} threads share {found.cores} cores")
    elif found.threads > 1 and waiting is not None and waiting >= QUIET:
        yield Advice(
            "use one thread (--threads 1)",
            f"some task waited for a core {_percent(waiting)} of the time, and all threads wait for the slowest",
        )
    elif found.threads > 1 and found.system.siblings and found.threads > found.all_cores // 2:
        yield Advice(
            f"use --threads {max(1, found.all_cores // 2)}, or fewer", "two hardware threads share each core here"
        )
    if found.migrations_per_s is not None and found.migrations_per_s >= MIGRATIONS_PER_S and found.cores > 1:
        cores = ",".join(map(str, list(found.affinity)[-found.threads :]))
        yield Advice(
            f"pin the process (taskset -c {cores} python -m vitbench…)",
            f"it changed its core {found.migrations_per_s:.0f} times a second while timing",
        )


def _limits(found: Condition) -> Iterator[Advice]:
    """What holds this process back from outside."""
    quota = found.system.quota_cores
    if found.throttled:
        limit = "" if quota is None else f" of {quota:g} cores"
        yield Advice(
            "raise the container's processor limit",
            f"its limit{limit} held it back {found.throttled} times while timing",
        )
    elif quota is not None and quota < found.threads:
        yield Advice(
            f"use --threads {max(1, int(quota))}, or raise the container's limit",
            f"{found.threads} threads may use {quota:g} cores",
        )
    memory = found.system.memory_available
    if memory is not None and memory < LITTLE_MEMORY:
        yield Advice("free some memory", f"{_percent(memory)} of it is available")


def _set_up(found: Condition) -> Iterator[Advice]:
    """Clock, frequency and power."""
    clock, system = found.clock, found.system
    if system.governor is not None and system.governor != "performance":
        yield Advice(
            "let the cores run at full speed (sudo cpupower frequency-set -g performance)",
            f"the frequency governor is {system.governor}, so that the speed depends on the load",
        )
    if clock.source is not None and clock.source not in GOOD_CLOCKS:
        yield Advice(
            "boot with clocksource=tsc, if the machine allows it",
            f"the clock source is {clock.source}; reading the clock takes {1e6 * clock.cost_s:.2g} µs",
        )
    elif clock.cost_s > SLOW_CLOCK_S:
        yield Advice(
            "measure on a machine with a faster clock", f"reading the clock takes {1e6 * clock.cost_s:.2g} µs here"
        )
    if system.on_mains is False:
        yield Advice("plug the machine in", "it runs on its battery")


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"
