"""The tables of ``--only batch-sizes`` and ``--only largest-batch``: rows for programs, cells for readers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from vitbench.declare.measure import MeasureConfig
from vitbench.declare.model import ModelConfig
from vitbench.measure.peak_memory.largest_batch import largest_batch
from vitbench.measure.prepare import prepared
from vitbench.measure.timing.batch_sizes import doublings, sweep
from vitbench.measure.timing.subject import Subject
from vitbench.tables.columns import MISSING, significant
from vitbench.utils.errors import UserError
from vitbench.utils.threads import torch_threads

Rows = list[dict[str, Any]]
WINDOW_S, WINDOWS = 2.0, 3
MIB = 2**20


def batch_size_rows(
    models: Mapping[str, ModelConfig],
    settings: MeasureConfig,
    *,
    device: str,
    progress: Callable[[str], None],
    seed: int = 0,
) -> tuple[Rows, list[str]]:
    """Throughput at 1, 2, 4 … images a call, up to the settings' batch size; and why some are missing."""

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
                seed=seed,
                on_window=lambda name, size: progress(f"{name}: {size} images a call"),
            )
    finally:
        progress("")
    rows = []
    for name, rates in found.items():
        for size in sorted(rates.windows):
            interval = rates.interval(size)
            values: dict[str, Any] = {"throughput_img_s": interval.value, "throughput_img_s_low": interval.low}
            values |= {"throughput_img_s_high": interval.high, "saturation_batch_size": rates.saturation}
            rows.append({"variant": name, "batch_size": size, **values, "windows": interval.n})
    return rows, [f"{name} ended at {rates.ended}" for name, rates in found.items() if rates.ended]


def batch_size_cells(rows: Rows) -> tuple[list[str], list[list[str]]]:
    """Headings and cells: a row a batch size, a model's saturation in the row where it begins."""
    heads = ["Model", "Batch size", "Throughput (img/s)", "Gains under 5% a doubling"]
    cells = []
    for row in rows:
        low, high = (significant(row[f"throughput_img_s_{end}"]) for end in ("low", "high"))
        begins = "from here on" if row["batch_size"] == row["saturation_batch_size"] else ""
        rate = f"{significant(row['throughput_img_s'])} [{low}, {high}]"
        cells.append([row["variant"], str(row["batch_size"]), rate, begins])
    return heads, cells


def largest_batch_rows(
    models: Mapping[str, ModelConfig],
    settings: MeasureConfig,
    *,
    device: str,
    progress: Callable[[str], None],
    limit_bytes: int | None = None,
) -> tuple[Rows, list[str]]:
    """The largest batch of a forward pass, as predicted and as it ran; and why some are missing."""
    rows: Rows = []
    reasons = []
    try:
        for name, config in models.items():
            progress(f"{name}: largest batch")
            try:
                found = largest_batch(config, settings, device=device, limit_bytes=limit_bytes)
            except UserError as error:
                reasons.append(f"{name}: {error}")
                continue
            rows.append(
                {
                    "variant": name,
                    "predicted_batch_size": found.predicted,
                    "largest_batch_size": found.confirmed,
                    "limit_mib": found.limit_bytes / MIB,
                    "tried": ", ".join(f"{size} {what}" for size, what in found.tried.items()),
                }
            )
            if found.confirmed is None:
                reasons.append(f"{name}: no batch that was tried fits")
    finally:
        progress("")
    return rows, reasons


def largest_batch_cells(rows: Rows) -> tuple[list[str], list[list[str]]]:
    """Headings and cells."""
    heads = ["Model", "Predicted", "Largest that ran", "Limit (MiB)", "Tried"]
    cells = [
        [
            row["variant"],
            str(row["predicted_batch_size"]),
            MISSING if row["largest_batch_size"] is None else str(row["largest_batch_size"]),
            f"{row['limit_mib']:.0f}",
            row["tried"],
        ]
        for row in rows
    ]
    return heads, cells
