"""Advice for better numbers, each with the measurement that calls for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vitbench.doctor.readings import Activity, Clock, Process, System

BUSY_SHARE = 0.10  # of a core; programs that use less are ignored
MAX_NAMED = 4  # programs named one by one
BUSY_PRESSURE = 0.05  # the limit of noise grade A
HIGH_STEAL = 0.01
SLOW_CLOCK_S = 1e-6
GOOD_CLOCKS = ("tsc", "kvm-clock", "xen", "hyperv_clocksource_tsc_page", "arch_sys_counter")
MANY_MIGRATIONS = 2.0  # per second
LOW_MEMORY = 0.1


@dataclass(frozen=True)
class Advice:
    """What to do, and why."""

    do: str
    because: str

    def __str__(self) -> str:
        return f"{self.do}: {self.because}"


def advise(
    environment: Mapping[str, Any], asleep: Activity, timing: Activity, clock: Clock, system: System
) -> list[Advice]:
    """What would improve the numbers, the most effective first; empty if nothing calls for it.

    Args:
        environment: of a record; its ``threads`` are those that the user measures with.
        asleep: what the machine did while this process slept.
        timing: the same while it timed.
        clock: that times.
        system: its settings.
    """
    found = [
        *_processes(asleep),
        *_steal(timing.steal),
        *_threads(environment["threads"], environment["cpu"], timing, system),
        *_limits(environment["threads"], timing.throttled, system),
        *_clock_and_power(clock, system),
    ]
    return [Advice(do, because) for do, because in found]


def _processes(asleep: Activity) -> Iterator[tuple[str, str]]:
    programs: dict[str, list[Process]] = {}
    for process in asleep.others:
        programs.setdefault(process.name, []).append(process)
    loud = [program for program in programs.values() if _share(program) >= BUSY_SHARE]
    loud.sort(key=_share, reverse=True)
    for program in loud[:MAX_NAMED]:
        pids = ", ".join(str(process.pid) for process in program)
        yield f"close {program[0].name} (pid {pids})", f"it uses {_percent(_share(program))} of a core"
    if more := loud[MAX_NAMED:]:
        yield f"close {len(more)} more programs", f"together they use {_percent(sum(map(_share, more)))} of a core"
    pressure = asleep.pressure
    if not loud and pressure is not None and pressure >= BUSY_PRESSURE:
        hidden = f"but no program that it can see uses {_percent(BUSY_SHARE)} of a core"
        yield (
            "find out what else runs here (another container, or many short processes), or measure at another time",
            f"tasks waited for a core {_percent(pressure)} of the time while this process slept, {hidden}",
        )


def _steal(steal: float | None) -> Iterator[tuple[str, str]]:
    if steal is not None and steal >= HIGH_STEAL:
        yield (
            "measure at another time, or on a dedicated machine",
            f"the hypervisor gave {100 * steal:.1f}% of the processor time to other machines",
        )


def _threads(threads: int, cpu: Mapping[str, Any], timing: Activity, system: System) -> Iterator[tuple[str, str]]:
    cores = cpu["cores"]
    affinity = cpu["affinity"] if isinstance(cpu["affinity"], list) else range(cores)
    allowed, pressure = len(affinity), timing.pressure
    if threads > allowed:
        yield f"use --threads {allowed} or fewer", f"{threads} threads share {allowed} cores"
    elif threads > 1 and pressure is not None and pressure >= BUSY_PRESSURE:
        yield (
            "use one thread (--threads 1)",
            f"tasks waited for a core {_percent(pressure)} of the time, and every thread waits for the slowest",
        )
    elif threads > max(1, cores // 2) and system.siblings:
        yield f"use --threads {max(1, cores // 2)} or fewer", "two hardware threads share each core"
    migrations = (timing.migrations or 0) / timing.seconds
    if migrations >= MANY_MIGRATIONS and allowed > 1:
        last = ",".join(map(str, affinity[-threads:]))
        yield (
            f"pin the process (taskset -c {last} python -m vitbench…)",
            f"it moved to another core {migrations:.0f} times a second while timing",
        )


def _limits(threads: int, throttled: int | None, system: System) -> Iterator[tuple[str, str]]:
    quota = system.quota_cores
    if throttled:
        limit = "" if quota is None else f" of {quota:g} cores"
        yield "raise the container's CPU limit", f"the limit{limit} stopped this process {throttled} times while timing"
    elif quota is not None and quota < threads:
        yield (
            f"use --threads {max(1, int(quota))}, or raise the container's CPU limit",
            f"the limit is {quota:g} cores for {threads} thread{'s' * (threads != 1)}",
        )
    if system.memory_available < LOW_MEMORY:
        yield "free some memory", f"only {_percent(system.memory_available)} is available"


def _clock_and_power(clock: Clock, system: System) -> Iterator[tuple[str, str]]:
    governor = system.governor
    if governor not in {None, "performance"}:
        yield (
            "run the cores at full speed (sudo cpupower frequency-set -g performance)",
            f"the frequency governor is {governor}, which makes the speed depend on the load",
        )
    cost = f"reading the clock takes {1e6 * clock.cost_s:.2g} µs"
    if clock.source not in {None, *GOOD_CLOCKS}:
        yield "boot with clocksource=tsc if the machine supports it", f"the clock source is {clock.source}; {cost}"
    elif clock.cost_s > SLOW_CLOCK_S:
        yield "measure on a machine with a faster clock", cost
    if system.on_mains is False:
        yield "plug in the power supply", "the machine runs on battery"


def _share(program: Sequence[Process]) -> float:
    return sum(process.share for process in program)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"
