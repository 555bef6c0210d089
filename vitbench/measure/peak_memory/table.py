"""The memory table of named models: one row per step, with modelled, closed-form and measured peaks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from vitbench.declare.measure import MeasureConfig
from vitbench.declare.model import ModelConfig
from vitbench.measure.peak_memory.all_methods import measured
from vitbench.measure.peak_memory.modelled import PARTS, memory
from vitbench.measure.peak_memory.resident import MODES
from vitbench.measure.prepare import modelled

MIB = 2**20
NONE = "–"
HEADS = ("Model", "Step", *(part.capitalize() for part in PARTS), "Modelled", "Closed form")
WAYS: Mapping[str, tuple[str, ...]] = {
    "cpu": ("allocated", "resident"),
    "cuda": ("allocated", "reserved", "process"),
}


def rows(
    models: Mapping[str, ModelConfig],
    settings: MeasureConfig,
    *,
    device: str = "cpu",
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[list[dict[str, Any]], list[str]]:
    """A row in bytes for each model and step, and the reasons for missing numbers.

    Raises:
        UserError: a model cannot be built or its memory cannot be modelled.
    """
    settings = dataclasses.replace(settings, resident=True)
    found: list[dict[str, Any]] = []
    reasons: list[str] = []
    try:
        for name, config in models.items():
            progress(f"{name}: memory")
            peaks = {}
            for mode, training in MODES.items():
                model, example = modelled(config, settings, training=training)
                peaks[mode] = memory(model, settings.batch_size, training, example)
            sizes = {mode: peak.bytes for mode, peak in peaks.items()}
            real = measured(config, settings, device=device, modelled=sizes)
            for mode, peak in peaks.items():
                row = {"variant": name, "step": mode, **{f"{part}_bytes": getattr(peak, part) for part in PARTS}}
                row |= {"modelled_bytes": peak.bytes, "closed_form_bytes": real.get("closed_form", {}).get(mode)}
                found.append(row | {f"{way}_bytes": real[way][mode] for way in WAYS[device]})
            missing = {way: real[way]["reason"] for way in WAYS[device] if real[way].get("reason") is not None}
            reasons += [f"{name}, {way} memory not measured: {reason}" for way, reason in missing.items()]
    finally:
        progress("")
    return found, reasons


def cells(found: Iterable[Mapping[str, Any]], device: str = "cpu") -> tuple[list[str], list[list[str]]]:
    """Heads and cells in MiB; measured peaks show their difference from the modelled peak."""
    heads = [*HEADS, *(way.capitalize() for way in WAYS[device])]
    lines = []
    for row in found:
        parts = [f"{row[f'{part}_bytes'] / MIB:.2f}" for part in PARTS]
        form = row["closed_form_bytes"]
        line = [row["variant"], row["step"], *parts, f"{row['modelled_bytes'] / MIB:.2f}"]
        line.append(NONE if form is None else "equal" if form == row["modelled_bytes"] else f"{form / MIB:.2f}")
        line += [_with_difference(row[f"{way}_bytes"], row["modelled_bytes"]) for way in WAYS[device]]
        lines.append(line)
    return heads, lines


def _with_difference(size: int | None, modelled_size: int) -> str:
    if size is None:
        return NONE
    return f"{size / MIB:.2f} ({100 * (size / modelled_size - 1):+.1f} %)".replace("-", "−")
