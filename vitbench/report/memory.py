"""Memory in words: which of its meanings were measured, by how much they differ, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vitbench.declare.quantities.memory import WAYS
from vitbench.records.record import Record
from vitbench.report.phrases import first
from vitbench.tables.study import Study

WORTH_A_NOTE = 0.01
"""Two ways that are further apart than this are named, with the reason."""

MODES = ("inference", "training")
MODELLED = """
    modelled: the peak of all storages alive at once, tracked on fake tensors (parameters, gradients, optimiser state,
    activations). What kernels allocate inside themselves and what the allocator keeps is not in it."""
SPLIT = """
    modelled: the peak of all storages alive at once, tracked on fake tensors, and what it is made of: parameters,
    gradients, optimiser state, activations, and workspace, which is what the backward pass and the optimiser need in
    passing. What kernels allocate inside themselves and what the allocator keeps is not in it."""
HOW = {
    "allocated": "what torch's allocator handed out in a real step at its peak",
    "resident": "what the kernel gave a fresh process for a real step (VmHWM after clear_refs), and what it held",
    "reserved": "what torch's caching allocator took from the driver",
    "process": "what the driver says of the process (NVML)",
}
WHY = {
    "allocated": "kernel workspaces",
    "resident": "whole pages, and what libraries take past torch's allocator or find in pages that are there already",
    "reserved": "blocks that torch's caching allocator keeps",
    "process": "CUDA's context and its libraries' workspaces",
}
"""What a way of measuring sees differently from the one before it."""


def memory_method(study: Study) -> str:
    """How memory was measured, by how much the ways differ, and why."""
    records = study.of("memory")
    split = any("workspace" in (r.values.get("inference") or {}) for r in records)
    said = [" ".join((SPLIT if split else MODELLED).split()), *_formulas(records)]
    for way in WAYS:
        said += _way(records, way)
    return " ".join(said)


def _formulas(records: list[Record]) -> Iterator[str]:
    """What arithmetic from the config says of the modelled peaks."""
    pairs = [
        (f"{r.variant} ({mode})", form, r.values[mode]["bytes"])
        for r in records
        for mode in MODES
        if (form := (r.values.get("closed_form") or {}).get(mode)) is not None and mode in r.values
    ]
    apart = [f"{name} {form:,} bytes" for name, form, size in pairs if form != size]
    if pairs and not apart:
        yield f"Equal to the closed form, to the byte, in all {len(pairs)} cases that it covers."
    elif apart:
        yield f"The closed form says otherwise of {'; '.join(first(apart))}."


def _way(records: list[Record], way: str) -> Iterator[str]:
    """One way of measuring, beside the one that it is held against."""
    entries: list[tuple[Record, Mapping[str, Any]]] = [(r, r.values[way]) for r in records if r.values.get(way)]
    if not entries:
        return
    against = "modelled" if way == "allocated" else "allocated"
    differences: dict[str, float] = {}
    for record, entry in entries:
        for mode in MODES:
            other = record.values.get(mode, {}).get("bytes") if way == "allocated" else _of(record, "allocated", mode)
            if entry.get(mode) is not None and other:
                differences[f"{record.variant} ({mode} {{}})"] = entry[mode] / other - 1
    title = f"{way.capitalize()}: {HOW[way]}"
    reasons = dict.fromkeys(entry["reason"] for _, entry in entries if entry.get("reason"))
    if differences:
        low, high = min(differences.values()), max(differences.values())
        span = _signed(low) if _signed(low) == _signed(high) else f"{_signed(low)} to {_signed(high)}"
        yield f"{title}; {span} beside {against}."
        named = [name.format(_signed(d)) for name, d in differences.items() if abs(d) > WORTH_A_NOTE]
        if named:
            yield f"Over {WORTH_A_NOTE:.0%}, {WHY[way]}: {', '.join(first(named))}."
    if reasons:
        lacking = [r.variant for r, entry in entries if any(entry.get(mode) is None for mode in MODES)]
        whose = "" if len(lacking) == len(records) else f" of {', '.join(first(lacking))}"
        yield f"{title if not differences else way.capitalize()}{whose}: not measured: {'; '.join(reasons)}."


def _of(record: Record, way: str, mode: str) -> int | None:
    found = (record.values.get(way) or {}).get(mode)
    return None if found is None else int(found)


def _signed(difference: float) -> str:
    shown = f"{100 * abs(difference):.1f}"
    return f"{shown}%" if not float(shown) else f"{'+' if difference > 0 else '−'}{shown}%"
