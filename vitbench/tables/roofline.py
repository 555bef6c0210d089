"""Variants on their machine's roofline, from counted work, measured latency and measured ceilings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from vitbench import stats
from vitbench.records.record import Record
from vitbench.stats.roofline import Roofline, Work, bound, launch_share, roof, share
from vitbench.tables.study import Study

FIELDS = (
    "variant", "family", "machine", "batch_size", "flops", "seconds", "achieved", "share", "share_low", "share_high",
    "n", "intensity", "intensity_at_most", "launch_share", "bound", "roof_share",
)  # fmt: skip

MILLISECONDS = 1000.0


@dataclass(frozen=True)
class Machine:
    """The measured ceilings of a machine under given settings, with intervals over windows."""

    name: str  # the settings in words
    roofline: Roofline
    flop_per_s: stats.Interval
    bytes_per_s: stats.Interval
    ops_per_s: stats.Interval | None
    notes: tuple[str, ...] = ()


def machine_of(record: Record) -> Machine | None:
    """The machine described by a ceilings record; None if a ceiling of the roofline was not measured."""
    found = {name: _interval(record, name) for name in ("matmul", "copy", "start")}
    arithmetic, copying, starting = found["matmul"], found["copy"], found["start"]
    if arithmetic is None or copying is None:
        return None
    values = record.values
    threads = f", {values['threads']} thread{'s' * (values['threads'] != 1)}" if values["device"] == "cpu" else ""
    rounded = " rounded to TF32" if values.get("tf32") else ""
    return Machine(
        f"{values['dtype']}{rounded}{threads}",
        Roofline(arithmetic.value, copying.value, None if starting is None else 1 / starting.value),
        arithmetic,
        copying,
        starting,
        tuple(values[key] for key in ("matmul_note", "copy_note", "start_note") if values.get(key)),
    )


def machines(study: Study) -> dict[str, Machine]:
    """Name → machine, for every ceilings record."""
    found = (machine_of(record) for record in study.of("ceiling"))
    return {machine.name: machine for machine in found if machine is not None}


def points(study: Study, timings: pd.DataFrame) -> pd.DataFrame:
    """One row per variant with all measurements it needs: ``FIELDS``, in FLOP/s and FLOPs per byte.

    Latency and ceiling must come from one environment. A variant with an incomplete count has no row, because its share
    would be too low.

    Args:
        study: the study with the records.
        timings: the latencies from ``frames.timings``: ``variant, value, low, high, n``, in ms.
    """
    latencies = {row["variant"]: row for row in timings.to_dict("records")}
    rows = []
    for v in study.variants:
        found = next(_complete(study, v.name), None)
        if found is not None and v.name in latencies:
            rows.append({"variant": v.name, "family": v.family, **_row(*found, latencies[v.name])})
    return pd.DataFrame(rows, columns=list(FIELDS))


def _complete(study: Study, variant: str) -> Iterator[tuple[Machine, Record, Record, Record]]:
    """Yields the machine with matching records of cost, memory and latency."""
    latency = next((session[variant] for session in study.sessions("latency") if variant in session), None)
    for ceiling in reversed(study.of("ceiling", variant)):
        machine = machine_of(ceiling)
        if machine is None or latency is None or latency.environment != ceiling.environment:
            continue
        for cost in study.of("cost", variant):
            for memory in study.of("memory", variant):
                moved = memory.values.get("traffic") or {}
                if cost.values.get("complete") and cost.values.get("flops") and "unfused" in moved:
                    yield machine, cost, memory, latency


def _row(machine: Machine, cost: Record, memory: Record, latency: Record, timing: dict[Any, Any]) -> dict[str, Any]:
    moved, batch = memory.values["traffic"], latency.values["batch_size"]
    compiled = latency.settings.get("compile")  # fusion launches fewer kernels than the counted operations
    work = Work(
        flops=cost.values["flops"] * batch,
        unfused=moved["unfused"],
        compulsory=moved["compulsory"],
        seconds=timing["value"] / MILLISECONDS,
        ops=None if compiled else moved["ops"],
    )
    ends = {
        name: work.flops / (timing[slow] / MILLISECONDS) / rate if rate > 0 and timing[slow] > 0 else float("nan")
        for name, slow, rate in (
            ("share_low", "high", machine.flop_per_s.high),
            ("share_high", "low", machine.flop_per_s.low),
        )
    }
    return {
        "machine": machine.name,
        "batch_size": batch,
        "flops": work.flops,
        "seconds": work.seconds,
        "achieved": work.achieved,
        "share": share(work, machine.roofline),
        "n": timing["n"],
        **ends,
        "intensity": work.intensity,
        "intensity_at_most": work.intensity_at_most,
        "launch_share": launch_share(work, machine.roofline),
        "bound": bound(work, machine.roofline),
        "roof_share": work.achieved / roof(work, machine.roofline)[1],
    }


def _interval(record: Record, name: str) -> stats.Interval | None:
    rates = record.samples.get(name, {}).get("values")
    return stats.mean_interval(rates) if rates else None
