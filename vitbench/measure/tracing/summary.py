"""What a trace says, in numbers: parts, phases, operations, blocks, memory. From the trace alone, without torch.

Times are means over the recorded steps, under the profiler, and carry no interval: they are for shares. The values of
each step stand beside them in ``summary.json``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vitbench.measure.tracing.attribution import PARTS, PHASES, Share, totals
from vitbench.measure.tracing.chrome_trace import Trace
from vitbench.measure.tracing.memory import MS, Memory

FLOPS_APART = 0.001
"""A trace and a count whose FLOPs differ by more are named."""

PYTHON = "Python and the profiler, between operations"


@dataclass(frozen=True)
class PartTime:
    """A part of the model; the shares of all parts add up to 1."""

    name: str
    ms: float
    share: float
    copies_ms: float
    """Of copies that stand in this part: they are in the row of copies, not in ``ms``."""
    per_step_ms: tuple[float, ...]


@dataclass(frozen=True)
class OperationTime:
    """An operation over all its calls in a step, without what it calls."""

    name: str
    calls: float
    ms: float
    share: float
    flops: int | None
    """A step's; None: it is no product."""


@dataclass(frozen=True)
class BlockTime:
    name: str
    ms: float
    share: float
    forward_ms: float
    backward_ms: float
    per_step_ms: tuple[float, ...]


@dataclass(frozen=True)
class Summary:
    """All of ``summary.json``."""

    model: str
    scope: Mapping[str, Any]
    divided: str
    """What the shares are shares of."""
    steps: int
    step_ms: tuple[float, ...]
    """Wall time of each step, under the profiler."""
    parts: tuple[PartTime, ...]
    phases: Mapping[str, float]
    """Milliseconds of each phase of a training step; empty for a forward pass."""
    operations: tuple[OperationTime, ...]
    other: tuple[tuple[str, float], ...]
    """What "other" consists of: operation, milliseconds."""
    blocks: tuple[BlockTime, ...]
    memory: Memory | None
    flops: int
    """Of the products in the trace, a step."""
    flops_counted: int | None
    """Of a step by ``vitbench.measure.count``."""
    findings: tuple[str, ...]
    trace: str
    """Name of the trace's file."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def summarise(
    shares: list[Share],
    trace: Trace,
    *,
    model: str,
    scope: Mapping[str, Any],
    blocks: Mapping[str, str],
    memory: Memory | None,
    counted: int | None = None,
    not_counted: str | None = None,
    file: str = "",
) -> Summary:
    """Sums up the shares of a trace.

    Args:
        shares: of ``trace``, as ``attribute`` divides it.
        trace: what was recorded.
        model: its name.
        scope: to what the numbers apply.
        blocks: dotted path → the block that it is shown as, in order.
        memory: over a step.
        counted: FLOPs of a step, counted another way.
        not_counted: why they could not be.
        file: name of the trace's file.
    """
    steps = len(trace.steps)
    whole = sum(totals(shares, steps)) or 1

    def ms(taken: Iterable[Share]) -> float:
        return sum(share.nanoseconds for share in taken) / MS / steps

    def per_step(taken: list[Share]) -> tuple[float, ...]:
        return tuple(nanoseconds / MS for nanoseconds in totals(taken, steps))

    def part(name: str, own: list[Share]) -> PartTime:
        hidden = [share for share in of_home[name] if share.part == "copies"] if name != "copies" else []
        return PartTime(name, ms(own), ms(own) * steps * MS / whole, ms(hidden), per_step(own))

    def block(name: str, own: list[Share]) -> BlockTime:
        forward, backward = (ms(s for s in own if s.phase == phase) for phase in ("forward", "backward"))
        return BlockTime(name, ms(own), ms(own) * steps * MS / whole, forward, backward, per_step(own))

    of_part, of_home = _grouped(shares, lambda s: s.part), _grouped(shares, lambda s: s.home)
    of_block, of_phase = _grouped(shares, lambda s: s.block), _grouped(shares, lambda s: s.phase)
    flops = sum(share.flops or 0 for share in shares) // steps
    phases = {name: ms(of_phase[name]) for name in (*PHASES, "other") if name in of_phase}
    return Summary(
        model=model,
        scope=scope,
        divided="time of kernels and copies on the device" if trace.device else "wall time of the step",
        steps=steps,
        step_ms=tuple((step.end - step.start) / MS for step in trace.steps),
        parts=tuple(part(name, of_part[name]) for name in PARTS if name in of_part),
        phases=phases if scope.get("mode") == "train_step" else {},
        operations=_operations(shares, steps, whole),
        other=_other(of_part["other"], steps),
        blocks=tuple(block(name, of_block[name]) for name in dict.fromkeys(blocks.values()) if name in of_block),
        memory=memory,
        flops=flops,
        flops_counted=counted,
        findings=tuple(_findings(trace, whole, flops, counted, not_counted)),
        trace=file,
    )


def _grouped(shares: Iterable[Share], key: Callable[[Share], Any]) -> defaultdict[Any, list[Share]]:
    groups: defaultdict[Any, list[Share]] = defaultdict(list)
    for share in shares:
        groups[key(share)].append(share)
    return groups


def _operations(shares: Sequence[Share], steps: int, whole: int) -> tuple[OperationTime, ...]:
    """Largest first."""
    found = []
    for name, own in _grouped((s for s in shares if s.operation is not None), lambda s: s.operation).items():
        taken = sum(share.nanoseconds for share in own)
        counts = [share.flops for share in own if share.flops is not None]
        calls = sum(share.starts for share in own) / steps
        flops = sum(counts) // steps if counts else None
        found.append(OperationTime(name, calls, taken / MS / steps, taken / whole, flops))
    return tuple(sorted(found, key=lambda operation: (-operation.ms, operation.name)))


def _other(shares: Iterable[Share], steps: int) -> tuple[tuple[str, float], ...]:
    taken: Counter[str] = Counter()
    for share in shares:
        taken[share.operation or PYTHON] += share.nanoseconds
    return tuple((name, nanoseconds / MS / steps) for name, nanoseconds in taken.most_common())


def _findings(trace: Trace, whole: int, flops: int, counted: int | None, not_counted: str | None) -> list[str]:
    found = []
    if counted is not None and abs(flops - counted) > FLOPS_APART * max(flops, counted):
        found.append(
            f"the trace's products make {flops / 1e9:.4g} GFLOP a step, the count says {counted / 1e9:.4g}: an "
            "operation hides products from one of them, or one of them counts some twice"
        )
    if not_counted is not None:
        found.append(f"the trace's FLOPs were not checked against a count: {not_counted}")
    if trace.device:
        wall = sum(step.end - step.start for step in trace.steps)
        found.append(f"the device was busy for {min(1.0, whole / wall):.0%} of the steps' wall time")
    return found
