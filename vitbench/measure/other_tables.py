"""The tables of ``python -m vitbench.measure --only NAME``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from vitbench.declare.measure import MeasureConfig
from vitbench.declare.model import ModelConfig
from vitbench.measure.counts import counter_omissions
from vitbench.measure.peak_memory import table as memory_table
from vitbench.measure.peak_memory.largest_batch import largest_batch
from vitbench.measure.prepare import prepared
from vitbench.measure.timing.batch_sizes import doublings, sweep
from vitbench.measure.timing.subject import Subject
from vitbench.utils import cli
from vitbench.utils.display import Table
from vitbench.utils.errors import UserError
from vitbench.utils.format import significant, text
from vitbench.utils.threads import torch_threads

Models: TypeAlias = Mapping[str, ModelConfig]

WINDOW_S, WINDOWS = 2.0, 3
MIB = 2**20


@dataclass(frozen=True)
class OtherTable:
    """Rows of data and a table for readers, with notes on their scope and the reasons for missing rows."""

    rows: list[dict[str, Any]]
    table: Table
    notes: list[str]
    reasons: list[str] = field(default_factory=list)


def batch_sizes(models: Models, settings: MeasureConfig, device: str, _img_size: int | None = None) -> OtherTable:
    """Throughput at 1, 2, 4 … images per call, up to the batch size of the settings."""

    def subject_of(name: str, size: int) -> Subject:
        model, images = prepared(models[name], dataclasses.replace(settings, batch_size=size), device=device)
        return Subject(model, images, device, settings.compile)

    try:
        with torch_threads(settings.threads):
            found = sweep(
                subject_of,
                list(models),
                doublings(settings.batch_size),
                window_s=WINDOW_S,
                windows=WINDOWS,
                seed=0,
                on_window=lambda name, size: cli.progress(f"{name}: {size} images per call"),
            )
    finally:
        cli.progress("")
    rows: list[dict[str, Any]] = []
    cells = []
    for name, rates in found.items():
        for size in sorted(rates.windows):
            rate = rates.interval(size)
            row = {"variant": name, "batch_size": size, "throughput_img_s": rate.value}
            row |= {"throughput_img_s_low": rate.low, "throughput_img_s_high": rate.high}
            rows.append(row | {"saturation_batch_size": rates.saturation, "windows": rate.n})
            shown = f"{significant(rate.value)} [{significant(rate.low)}, {significant(rate.high)}]"
            cells.append([name, str(size), shown, "gains under 5% per doubling" if size == rates.saturation else ""])
    heads = ("Model", "Batch size", "Throughput (img/s)", "Saturated")
    note = f"{WINDOWS} interleaved windows of {WINDOW_S:g} s; 95% intervals in brackets; {_scope(settings, device)}"
    reasons = [f"{name} ended at {rates.ended}" for name, rates in found.items() if rates.ended]
    return OtherTable(rows, Table(heads=heads, rows=cells, left=heads[-1:]), [note], reasons)


def largest_batches(models: Models, settings: MeasureConfig, device: str, _img_size: int | None = None) -> OtherTable:
    """The largest batch of a forward pass, predicted and confirmed by running it."""
    rows, reasons = [], []
    try:
        for name, config in models.items():
            cli.progress(f"{name}: largest batch")
            try:
                found = largest_batch(config, settings, device=device)
            except UserError as error:
                reasons.append(f"{name}: {error}")
                continue
            rows.append(
                {
                    "variant": name,
                    "predicted_batch_size": found.predicted,
                    "largest_batch_size": found.confirmed,
                    "limit_mib": found.limit_bytes / MIB,
                    "tried": ", ".join(f"{size} {result}" for size, result in found.tried.items()),
                }
            )
            if found.confirmed is None:
                reasons.append(f"{name}: none of the tried batch sizes fits")
    finally:
        cli.progress("")
    heads = ("Model", "Predicted", "Confirmed", "Limit (MiB)", "Tried")
    cells = [[*map(text, list(row.values())[:3]), f"{row['limit_mib']:.0f}", str(row["tried"])] for row in rows]
    note = f"a forward pass; predicted from modelled memory, run in separate processes; {_scope(settings, device)}"
    return OtherTable(rows, Table(heads=heads, rows=cells, left=("Tried",)), [note], reasons)


def memory(models: Models, settings: MeasureConfig, device: str, _img_size: int | None = None) -> OtherTable:
    """Peak memory of a forward pass and of a training step: modelled by part, and measured in fresh processes."""
    rows, reasons = memory_table.rows(models, settings, device=device, progress=cli.progress)
    heads, cells = memory_table.cells(rows, device)
    note = f"MiB; batch size {settings.batch_size}, {_scope(settings, device)}"
    return OtherTable(rows, Table(heads=heads, rows=cells, left=("Step",)), [note], reasons)


def counters(models: Models, _settings: MeasureConfig, _device: str, img_size: int | None = None) -> OtherTable:
    """MACs by the closed form and by common counters."""
    sides = counter_omissions.SIDES if img_size is None else (img_size,)
    rows = counter_omissions.rows(
        dict.fromkeys(name.partition(" #")[0] for name in models), sides, progress=cli.progress
    )
    table = Table(heads=counter_omissions.HEADS, rows=counter_omissions.cells(rows))
    note = "MACs of the forward pass of one image in evaluation mode; FLOPs of a counter are halved"
    return OtherTable(rows, table, [note])


TABLES: Mapping[str, Callable[[Models, MeasureConfig, str, int | None], OtherTable]] = {
    "memory": memory,
    "counters": counters,
    "batch-sizes": batch_sizes,
    "largest-batch": largest_batches,
}


def _scope(settings: MeasureConfig, device: str) -> str:
    return f"{settings.dtype}, {device}, threads {settings.threads}"
