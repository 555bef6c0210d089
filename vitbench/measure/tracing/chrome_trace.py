"""A trace in Chrome's format, as torch.profiler writes it, read back: nested events, profiled steps, allocations.

Reads JSON and needs no torch. Times are whole nanoseconds from the first event on, so that the parts of a step add up
to the step exactly. Format: "Trace Event Format" (Chromium project); the fields are those of Kineto.
"""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vitbench.utils.errors import UserError

STEP = "ProfilerStep#"
BACKWARD = "autograd::engine::evaluate_function: "
HOST = frozenset({"cpu_op", "user_annotation"})
DEVICE = frozenset({"kernel", "gpu_memcpy", "gpu_memset"})
MEMORY = "[memory]"


@dataclass(slots=True, eq=False)
class Event:
    """Something that took time; a host event lies within its parent on the same thread."""

    name: str
    category: str
    start: int
    end: int
    thread: Any
    args: Mapping[str, Any] = field(default_factory=dict)
    parent: Event | None = None
    inside: int = 0
    """Nanoseconds of its children."""

    @property
    def own(self) -> int:
        """Nanoseconds in which none of its children ran."""
        return self.end - self.start - self.inside

    def ancestry(self) -> Iterable[Event]:
        """Itself, then outward."""
        event: Event | None = self
        while event is not None:
            yield event
            event = event.parent

    def within(self, *prefixes: str) -> Event | None:
        """The nearest event, itself included, whose name begins so."""
        return next((event for event in self.ancestry() if event.name.startswith(prefixes)), None)


@dataclass(frozen=True, slots=True)
class Allocation:
    """Bytes that came (or went, below 0) at a moment."""

    at: int
    bytes: int
    address: int
    total: int
    """What the allocator holds then; on the CPU only what it gave out since recording began."""
    device: int
    """0 is the CPU, 1 CUDA."""


@dataclass(frozen=True)
class Trace:
    """Events by start; ``steps`` are those that torch.profiler marked, on the thread that took them."""

    host: Sequence[Event]
    device: Sequence[Event]
    allocations: Sequence[Allocation]
    steps: Sequence[Event]

    def step_of(self, at: int) -> int | None:
        """Number in ``steps`` of the step during which this moment lies."""
        return next((i for i, step in enumerate(self.steps) if step.start <= at < step.end), None)


def load(path: Path) -> Trace:
    """Reads ``*.pt.trace.json`` or ``.json.gz``.

    Raises:
        UserError: no such file, no JSON, or no trace with profiled steps.
    """
    try:
        raw = path.read_bytes()
        text = gzip.decompress(raw) if path.suffix == ".gz" else raw
        found = json.loads(text)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as a trace: {error}") from error
    if not isinstance(found, dict) or not isinstance(found.get("traceEvents"), list):
        raise UserError(f"{path} holds no traceEvents: it is no trace of torch.profiler")
    return trace_of(found["traceEvents"])


def trace_of(events: Iterable[Mapping[str, Any]]) -> Trace:
    """The events of a trace, nested.

    Raises:
        UserError: no step is marked.
    """
    events = list(events)
    timed = [event for event in events if event.get("ph") == "X" and event.get("cat") in HOST | DEVICE]
    origin = min((_nanoseconds(event["ts"]) for event in timed), default=0)
    host: dict[Any, list[Event]] = defaultdict(list)
    device: list[Event] = []
    for raw in timed:
        start = _nanoseconds(raw["ts"]) - origin
        event = Event(
            str(raw["name"]), raw["cat"], start, start + _nanoseconds(raw.get("dur", 0)), raw.get("tid"),
            raw.get("args", {}),
        )  # fmt: skip
        (device if event.category in DEVICE else host[event.thread]).append(event)
    for thread in host.values():
        _nest(thread)
    ordered = sorted((event for thread in host.values() for event in thread), key=lambda event: event.start)
    steps = [event for event in ordered if event.name.startswith(STEP)]
    if not steps:
        raise UserError("the trace marks no step: it was recorded without a call of the profiler's step()")
    allocations = [
        Allocation(
            _nanoseconds(raw["ts"]) - origin, int(args["Bytes"]), int(args.get("Addr", 0)),
            int(args.get("Total Allocated", 0)), int(args.get("Device Type", 0)),
        )
        for raw in events if raw.get("name") == MEMORY for args in [raw["args"]]
    ]  # fmt: skip
    return Trace(ordered, sorted(device, key=lambda e: e.start), sorted(allocations, key=lambda a: a.at), steps)


def _nanoseconds(microseconds: float) -> int:
    return round(microseconds * 1000)


def _nest(events: list[Event]) -> None:
    """Finds each event's parent on its thread. One that outlasts its parent by a rounding is cut to fit."""
    events.sort(key=lambda event: (event.start, -event.end))
    open_events: list[Event] = []
    for event in events:
        while open_events and open_events[-1].end <= event.start:
            open_events.pop()
        if open_events:
            parent = open_events[-1]
            event.end = min(event.end, parent.end)
            event.parent = parent
            parent.inside += event.end - event.start
        open_events.append(event)
