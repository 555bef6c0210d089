"""How memory was measured, and a table of the measurements that differ by more than 1%."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vitbench.declare.quantities.memory import WAYS as MEASURED_WAYS
from vitbench.report import cells
from vitbench.report.elements import Columns, Table, first, prose
from vitbench.tables.study import Study
from vitbench.utils.format import absent, significant

THRESHOLD = 0.01
"""Relative difference from which on a measurement has a row."""

MODES = ("inference", "training")
MIB = 2**20
MODELLED = """
    modelled: the peak of all storages that are alive at once, tracked on fake tensors: parameters, gradients, optimizer
    state, activations, and the workspace of the backward pass and the optimizer. It excludes what kernels allocate
    internally and what the allocator keeps."""
WAYS = {
    "allocated": ("torch's allocator, at the peak of a real step", "kernel workspaces"),
    "resident": (
        "pages of a fresh process for a real step (VmHWM after clear_refs)",
        "whole pages and other libraries",
    ),
    "reserved": ("torch's caching allocator, from the driver", "blocks kept by the caching allocator"),
    "process": ("the driver's count for the process (NVML)", "the CUDA context and library workspaces"),
}
"""Method → what it measures, and why it differs from the method that it is compared with."""

AGREE = """
    {agreeing} of {all} comparisons agree: the closed form must equal modelled memory to the byte, allocated memory must
    be within 1% of modelled memory, every other method within 1% of allocated memory."""
CAPTION = "Measurements that do not agree with the method that they are compared with; one reading each, no interval."


@dataclass(frozen=True)
class Reading:
    """One variant's memory in one mode by one method, beside the method that it is compared with; in bytes."""

    variant: str
    mode: str
    way: str
    size: int
    against: str
    other: int

    @property
    def difference(self) -> float:
        """Relative to the other method."""
        return self.size / self.other - 1

    @property
    def agrees(self) -> bool:
        """Whether the two are the same; a closed form must equal the model to the byte."""
        allowed = 0 if self.way == "closed form" else THRESHOLD * self.other
        return abs(self.size - self.other) <= allowed

    @property
    def verdict(self) -> str:
        """By how much and why the two differ."""
        if self.way == "closed form":
            return f"{self.size:,} and not {self.other:,} bytes"
        side = "above" if self.difference > 0 else "below"
        return f"{100 * abs(self.difference):.1f}% {side} {self.against}: {WAYS[self.way][1]}"


def memory_method(study: Study) -> str:
    """How memory was measured, and why a method was not used."""
    records = study.of("memory")
    said = [prose(MODELLED)]
    for way in MEASURED_WAYS:
        entries = {record.variant: record.values[way] for record in records if record.values.get(way)}
        lacking = [variant for variant, entry in entries.items() if any(absent(entry.get(mode)) for mode in MODES)]
        reasons = dict.fromkeys(entry["reason"] for entry in entries.values() if entry.get("reason"))
        if len(lacking) < len(entries):
            said.append(f"{way.capitalize()}: {WAYS[way][0]}.")
        if reasons:
            whose = "" if len(lacking) == len(records) else f" for {', '.join(first(lacking))}"
            said.append(f"{way.capitalize()}: not measured{whose}: {'; '.join(reasons)}.")
    if readings := list(_readings(study)):
        agreeing = sum(reading.agrees for reading in readings)
        said.append(prose(AGREE).format(agreeing=agreeing, all=len(readings)))
    return " ".join(said)


def memory_differences(study: Study) -> Table | None:
    """The measurements that do not agree; None where all do."""
    apart = [reading for reading in _readings(study) if not reading.agrees]
    columns: Columns = {
        "Variant": lambda reading: cells.name(reading.variant),
        "Mode": lambda reading: cells.words(reading.mode),
        "Method": lambda reading: cells.words(reading.way),
        "Memory (MiB)": lambda reading: cells.number(reading.size / MIB, significant),
        "Verdict": lambda reading: cells.words(reading.verdict),
    }
    return Table.of("Memory differences", apart, columns, CAPTION) if apart else None


def _readings(study: Study) -> Iterator[Reading]:
    """Every measurement that has another one to be compared with."""
    for record in study.of("memory"):
        for mode in MODES:
            sizes = {way: (record.values.get(way) or {}).get(mode) for way in ("closed_form", *MEASURED_WAYS)}
            sizes["modelled"] = (record.values.get(mode) or {}).get("bytes")
            for way in ("closed_form", *MEASURED_WAYS):
                against = "modelled" if way in {"closed_form", "allocated"} else "allocated"
                size, other = sizes[way], sizes[against]
                if size is not None and other:
                    yield Reading(record.variant, mode, way.replace("_", " "), int(size), against, int(other))
