"""The summary of a trace for readers: tables and notes, or rows of data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Literal, TypeAlias

from vitbench.trace.summary import Row, Summary
from vitbench.utils import display
from vitbench.utils.display import Table

Format: TypeAlias = Literal["table", "json", "csv", "markdown"]

SHOWN_OPERATIONS = 10
BAR = 40
"""Characters of the longest bar."""
MIB = 2**20
NAMES = {"mlp": "MLP", "patch_embed": "patch embedding", "optimizer": "optimizer (AdamW)"}
COLUMNS = ("table", "name", "ms", "share", "calls", "flops", "forward_ms", "backward_ms")


def write(summary: Summary, form: Format) -> None:
    """Prints the summary."""
    if form == "json":
        print(json.dumps(asdict(summary), indent=2, ensure_ascii=False))
    elif form == "csv":
        print(display.data(list(_rows(summary)), "csv", COLUMNS), end="")
    elif form == "markdown":
        print("\n".join(map(display.markdown, _tables(summary))))
        print("\n".join(f"- {note}" for note in (_scope(summary), *_notes(summary))))
    else:
        display.lines(_scope(summary), "")
        for table in _tables(summary):
            display.show(table)
        display.lines(*_notes(summary))


def _rows(summary: Summary) -> Iterator[dict[str, Any]]:
    """One row per part, phase, operation and block, with the fields of ``COLUMNS``."""
    tables = {"part": summary.parts, "phase": summary.phases, "operation": summary.operations, "block": summary.blocks}
    for table, rows in tables.items():
        for row in rows:
            yield {"table": table} | {name: row.get(name) for name in COLUMNS[1:]}


def _scope(summary: Summary) -> str:
    named = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in summary.scope.items())
    return f"{summary.model}: {named}; {_steps(summary)}"


def _steps(summary: Summary) -> str:
    return f"{summary.steps} step{'s' if summary.steps > 1 else ''}"


def _tables(summary: Summary) -> Iterator[Table]:
    """The tables that have rows."""
    parts = [[NAMES.get(part["name"], str(part["name"])), *_time(part)] for part in summary.parts]
    whole = {key: sum(part[key] for part in summary.parts) for key in ("share", "ms")}
    yield Table(heads=("Part", "Share", "ms"), rows=[*parts, ["all", *_time(whole)]])
    if summary.phases:
        yield Table(heads=("Phase", "Share", "ms"), rows=[[phase["name"], *_time(phase)] for phase in summary.phases])
    operations = [
        [
            op["name"],
            *_time(op),
            f"{op['calls']:g}" if op["calls"] else "",
            "" if op["flops"] is None else f"{op['flops'] / 1e9:.4g}",
        ]
        for op in summary.operations[:SHOWN_OPERATIONS]
    ]
    yield Table(heads=("Operation", "Share", "ms", "Calls", "GFLOP"), rows=operations)
    if summary.blocks:
        longest = max(block["ms"] for block in summary.blocks) or 1.0
        rows = [[block["name"], *_time(block), "█" * round(BAR * block["ms"] / longest)] for block in summary.blocks]
        yield Table(heads=("Block", "Share", "ms", ""), rows=rows, left={""})


def _notes(summary: Summary) -> Iterator[str]:
    """Memory, FLOPs, and what limits the numbers."""
    if not summary.blocks:
        yield "blocks: none, since this model has no list of modules of one class"
    if memory := summary.memory:
        before = "model, images, optimizer" if summary.phases else "model, images"
        peak, held = (f"{memory[key] / MIB:,.1f} MiB" for key in ("peak", "held"))
        yield f"memory: peak {peak}, of which {held} were allocated before the step ({before})"
    counts = {"torch's counter": summary.flops, "vitbench.measure.count": summary.flops_counted}
    said = [
        f"{flops / 1e9:.4g} GFLOP by {name}" if flops is not None else f"unknown to {name}"
        for name, flops in counts.items()
    ]
    yield f"FLOPs of a step: {', '.join(said)}"
    divided = "wall time of the step"
    if summary.gpu_busy is not None:
        divided = f"time of kernels and copies on the GPU, which was busy for {summary.gpu_busy:.0%} of the wall time"
    yield f"shares are of the {divided}"
    yield (
        f"milliseconds are means over {_steps(summary)} under the profiler, which slows them: "
        "for latency with an interval use python -m vitbench.measure"
    )


def _time(row: Row) -> tuple[str, str]:
    return _share(row["share"]), _ms(row["ms"])


def _share(share: float) -> str:
    return f"{100 * share:.1f}%"


def _ms(ms: float) -> str:
    return f"{ms:,.0f}" if ms >= 1000 else f"{ms:.4g}" if ms >= 100 else f"{ms:.3g}"
