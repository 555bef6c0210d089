"""The summary of a trace for readers: in the terminal, as Markdown, as csv."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from vitbench.trace.summary import Row, Summary

SHOWN_OPERATIONS = 10
BAR = 40
"""Characters of the longest bar."""
MIB = 2**20
NAMES = {"mlp": "MLP", "patch_embed": "patch embedding", "optimizer": "optimizer (AdamW)"}
COLUMNS = ["table", "name", "ms", "share", "calls", "flops", "forward_ms", "backward_ms"]

Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""Heads and rows."""


def text(summary: Summary) -> str:
    """Tables of parts, phases, operations and blocks, then memory, FLOPs and how to read the numbers."""
    lines = [_scope(summary), ""]
    for heads, rows in _tables(summary):
        widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
        for name, *cells in (heads, *rows):
            line = [name.ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells, widths[1:], strict=True))]
            lines.append("  ".join(line).rstrip())
        lines.append("")
    return "\n".join([*lines, *_notes(summary)])


def markdown(summary: Summary) -> str:
    """The same tables, and the notes as a list."""
    lines: list[str] = []
    for heads, rows in _tables(summary):
        rule = ["---", *["---:"] * (len(heads) - 1)]
        lines += [
            "| " + " | ".join(cell.strip().replace("|", "\\|") for cell in row) + " |" for row in (heads, rule, *rows)
        ]
        lines.append("")
    return "\n".join([*lines, *(f"- {note}" for note in (_scope(summary), *_notes(summary)))])


def csv(summary: Summary) -> str:
    """One line a part, phase, operation and block, at full precision."""
    tables = {"part": summary.parts, "phase": summary.phases, "operation": summary.operations, "block": summary.blocks}
    rows = pd.DataFrame([{"table": table, **row} for table, rows in tables.items() for row in rows])
    return rows.reindex(columns=COLUMNS).astype({"flops": "Int64"}).to_csv(index=False).rstrip("\n")


def _scope(summary: Summary) -> str:
    named = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in summary.scope.items())
    return f"{summary.model}: {named}; {_steps(summary)}"


def _steps(summary: Summary) -> str:
    return f"{summary.steps} step{'s' if summary.steps > 1 else ''}"


def _tables(summary: Summary) -> Iterator[Table]:
    """The tables that have rows."""
    parts = [[NAMES.get(part["name"], str(part["name"])), *_time(part)] for part in summary.parts]
    whole = {key: sum(part[key] for part in summary.parts) for key in ("share", "ms")}
    yield ["Part", "Share", "ms"], [*parts, ["all", *_time(whole)]]
    if summary.phases:
        yield ["Phase", "Share", "ms"], [[phase["name"], *_time(phase)] for phase in summary.phases]
    operations = [
        [
            op["name"],
            *_time(op),
            f"{op['calls']:g}" if op["calls"] else "",
            "" if op["flops"] is None else f"{op['flops'] / 1e9:.4g}",
        ]
        for op in summary.operations[:SHOWN_OPERATIONS]
    ]
    yield ["Operation", "Share", "ms", "Calls", "GFLOP"], operations
    if summary.blocks:
        longest = max(block["ms"] for block in summary.blocks) or 1.0
        bars = [("█" * round(BAR * block["ms"] / longest)).ljust(BAR) for block in summary.blocks]
        rows = [[block["name"], *_time(block), bar] for block, bar in zip(summary.blocks, bars, strict=True)]
        yield ["Block", "Share", "ms", ""], rows


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
