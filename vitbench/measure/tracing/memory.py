"""Memory over a step of a trace, from the allocations that it recorded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vitbench.measure.tracing.attribution import PHASES
from vitbench.measure.tracing.chrome_trace import Allocation, Event, Trace

MS, MIB = 1e6, 2**20


@dataclass(frozen=True)
class Memory:
    """Bytes of tensors over the step with the highest peak."""

    peak: int
    held: int | None
    """Model, images and optimiser state, there before the step; None on a device, whose allocator counts all."""
    step: int
    timeline: tuple[tuple[float, int], ...]
    """Milliseconds from the start of the step, and bytes from then on."""
    phases: tuple[tuple[str, float, float], ...]
    """Name, first and last millisecond."""


def memory_of(trace: Trace, held: int) -> Memory | None:
    """The step with the highest peak; None: the trace has no allocations.

    Args:
        trace: recorded with memory.
        held: bytes that were allocated before it began, which the CPU's allocator does not tell.
    """
    cuda = [event for event in trace.allocations if event.device == 1]
    levels = _levels(cuda or trace.allocations, base=None if cuda else held)
    best: tuple[int, int] | None = None
    for number, step in enumerate(trace.steps):
        top = max((level for at, level in levels if step.start <= at < step.end), default=None)
        if top is not None and (best is None or top > best[0]):
            best = (top, number)
    if best is None:
        return None
    peak, number = best
    step = trace.steps[number]
    before = [level for at, level in levels if at < step.start]
    first = before[-1] if before else levels[0][1] if cuda else held
    inside = [((at - step.start) / MS, level) for at, level in levels if step.start <= at < step.end]
    last = ((step.end - step.start) / MS, inside[-1][1])
    phases = tuple(_phases(trace.host, step))
    return Memory(max(peak, first), None if cuda else held, number, ((0.0, first), *inside, last), phases)


def _levels(allocations: Sequence[Allocation], base: int | None) -> list[tuple[int, int]]:
    """Moment → bytes; a ledger over what came since ``base``, or what the allocator says where there is none."""
    if base is None:
        return [(event.at, event.total) for event in allocations]
    living: dict[int, int] = {}
    now, levels = base, []
    for event in allocations:
        if event.bytes > 0:
            living[event.address] = event.bytes
            now += event.bytes
        else:
            now -= living.pop(event.address, 0)  # what came before recording began is not in the ledger
        levels.append((event.at, now))
    return levels


def _phases(host: Iterable[Event], step: Event) -> Iterable[tuple[str, float, float]]:
    for event in host:
        if event.parent is not step or event.category != "user_annotation":
            continue
        name = "optimizer" if event.name.startswith("Optimizer.step") else event.name
        if name in PHASES:
            yield name, (event.start - step.start) / MS, (event.end - step.start) / MS
