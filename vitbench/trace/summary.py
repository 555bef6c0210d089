"""A trace in numbers, as ``summary.json`` has them: parts, phases, operations, blocks, memory and FLOPs.

The profiler slows what it records, small operations most. Read shares here; no time is the model's latency
(``vitbench.measure`` has that), so no time has an interval. The values of each step are beside the means.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import itemgetter
from typing import Any

from vitbench.trace.attribution import PARTS, PHASES, attribute, steps_of
from vitbench.trace.record import Recording

Row = dict[str, Any]


@dataclass(frozen=True)
class Summary:
    """The content of ``summary.json``.

    A row of a table has ``name``, ``ms`` (mean over the steps), ``share`` (of all steps) and ``per_step_ms``.
    """

    model: str
    scope: Row
    steps: int
    step_ms: list[float]
    """Wall time of each step, under the profiler."""
    gpu_busy: float | None
    """Time of kernels and copies on the GPU, which is what the shares are of, over the wall time; None on the CPU."""
    parts: list[Row]
    phases: list[Row]
    """Of a training step; empty for a forward pass."""
    operations: list[Row]
    """Without what an operation calls, the longest first; besides ``calls`` and ``flops`` of a step."""
    blocks: list[Row]
    """In the order of the model; besides ``forward_ms`` and ``backward_ms``."""
    memory: Row | None
    """``peak, held`` (bytes), ``step, timeline`` (ms, bytes), ``phases`` (name, first and last ms)."""
    flops: int | None
    """Of a step, by torch's counter."""
    flops_counted: int | None
    """Of a step, by ``vitbench.measure.count``."""
    trace: str
    """Name of the trace file."""


def summarize(recording: Recording) -> Summary:
    """The summary of a recording.

    Raises:
        UserError: on a GPU, nothing was recorded there.
    """
    training, gpu = recording.scope["mode"] == "train_step", recording.scope["device"] == "cuda"
    steps = steps_of(recording.events)
    times = attribute(recording.events, recording.owners, gpu=gpu)
    total_ms = float(times["ms"].sum())

    def rows(by: str, order: Iterable[Any] | None = None) -> list[Row]:
        """One row per group: those in ``order``, or all that took time, the longest first."""
        table = times.pivot_table(index=by, columns="step", values="ms", aggfunc="sum", fill_value=0.0)
        ms = table.sum(axis=1).sort_values(ascending=False, kind="stable")
        names = ms.index[ms > 0] if order is None else [name for name in order if name in ms.index]
        return [
            {"name": n, "ms": ms[n] / len(steps), "share": ms[n] / total_ms, "per_step_ms": table.loc[n].tolist()}
            for n in names
        ]

    operations = rows("operation")
    calls = times[times["call"]].groupby("operation").size() / len(steps)
    for row in operations:
        row |= {"calls": float(calls.get(row["name"], 0.0)), "flops": (recording.flops or {}).get(row["name"])}
    blocks = rows("block", dict.fromkeys(owner.block for owner in recording.owners.values()))
    passes = times.groupby(["block", "phase"])["ms"].sum() / len(steps)
    for row in blocks:
        row |= {f"{phase}_ms": float(passes.get((row["name"], phase), 0.0)) for phase in ("forward", "backward")}
    step_ms = [float(step.cpu_time_total) / 1e3 for step in steps]
    return Summary(
        model=recording.model,
        scope=dict(recording.scope),
        steps=len(steps),
        step_ms=step_ms,
        gpu_busy=total_ms / sum(step_ms) if gpu else None,
        parts=rows("part", PARTS),
        phases=rows("phase", (*PHASES, "other")) if training else [],
        operations=operations,
        blocks=blocks,
        memory=memory_of(recording.allocations, recording.held, steps),
        flops=None if recording.flops is None else sum(recording.flops.values()),
        flops_counted=recording.flops_counted,
        trace=recording.file.name,
    )


def memory_of(allocations: Sequence[tuple[float, int]], held: int, steps: Sequence[Any]) -> Row | None:
    """Memory over the step with the highest peak; None if that step allocated none.

    Args:
        allocations: time (us) and bytes, below 0 for a release.
        held: bytes that were allocated before the first step.
        steps: the events of the steps.
    """
    allocations = sorted(allocations, key=itemgetter(0))
    times = [us for us, _ in allocations]
    levels = list(accumulate((size for _, size in allocations), initial=held))  # levels[i] is after i allocations
    spans = [(bisect_left(times, s.time_range.start), bisect_left(times, s.time_range.end)) for s in steps]
    peaks = [max(levels[first : last + 1]) for first, last in spans]
    number = peaks.index(max(peaks))
    (first, last), step = spans[number], steps[number]
    if first == last:
        return None

    def ms(us: float) -> float:
        return (us - float(step.time_range.start)) / 1e3

    ranges = {"optimizer" if e.name.startswith("Optimizer.step") else e.name: e.time_range for e in step.cpu_children}
    return {
        "peak": peaks[number],
        "held": held,
        "step": number,
        "timeline": [
            (0.0, levels[first]),
            *((ms(times[i]), levels[i + 1]) for i in range(first, last)),
            (ms(step.time_range.end), levels[last]),
        ],
        "phases": [(name, ms(span.start), ms(span.end)) for name, span in ranges.items() if name in PHASES],
    }
