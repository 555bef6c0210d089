"""A trace's summary for readers: in the terminal, as Markdown, as csv."""

from __future__ import annotations

import csv as csv_module
import io
from collections.abc import Iterator, Sequence

from vitbench.measure.tracing.memory import MIB
from vitbench.measure.tracing.summary import Summary

SHOWN_OPERATIONS, SHOWN_OTHER = 10, 3
BAR = 40
"""Characters of the longest bar."""

NAMES = {"mlp": "MLP", "patch_embed": "patch embedding", "head": "head", "optimizer": "optimizer (AdamW)"}

Table = tuple[Sequence[str], list[list[str]]]


def text(summary: Summary) -> str:
    """Tables of parts and operations, a bar a block, memory, and how to read it."""
    lines = [_scope(summary), ""]
    for table in (_parts(summary), _phases(summary), _operations(summary)):
        lines += [*_aligned(table), ""] if table[1] else []
    return "\n".join([*lines, *_bars(summary), "", *_notes(summary)])


def markdown(summary: Summary) -> str:
    """The same as tables, blocks among them, and the notes as a list."""
    lines: list[str] = []
    for heads, rows in (_parts(summary), _phases(summary), _operations(summary), _blocks(summary)):
        if rows:
            aligned = ["---", *["---:"] * (len(heads) - 1)]
            cells = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in (heads, aligned, *rows)]
            lines += [*(f"| {row} |" for row in cells), ""]
    return "\n".join([*lines, *(f"- {note}" for note in [_scope(summary), *_notes(summary)])])


def csv(summary: Summary) -> str:
    """One line a part, phase, operation and block, at full precision."""
    out = io.StringIO()
    writer = csv_module.writer(out, lineterminator="\n")
    writer.writerow(("table", "name", "ms", "share", "calls", "flops", "forward_ms", "backward_ms", "copies_ms"))
    whole = sum(part.ms for part in summary.parts) or 1
    for part in summary.parts:
        writer.writerow(("part", part.name, part.ms, part.share, "", "", "", "", part.copies_ms))
    for name, ms in summary.phases.items():
        writer.writerow(("phase", name, ms, ms / whole, "", "", "", "", ""))
    for op in summary.operations:
        writer.writerow(("operation", op.name, op.ms, op.share, op.calls, op.flops, "", "", ""))
    for block in summary.blocks:
        writer.writerow(("block", block.name, block.ms, block.share, "", "", block.forward_ms, block.backward_ms, ""))
    return out.getvalue().rstrip("\n")


def _scope(summary: Summary) -> str:
    named = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in summary.scope.items())
    return f"{summary.model}: {named}; {_steps(summary)}"


def _steps(summary: Summary) -> str:
    return f"{summary.steps} step{'s' if summary.steps > 1 else ''}"


def _parts(summary: Summary) -> Table:
    rows = [
        [NAMES.get(p.name, p.name), _share(p.share), _ms(p.ms), _ms(p.copies_ms) if p.copies_ms else ""]
        for p in summary.parts
    ]
    rows.append(["all", _share(sum(part.share for part in summary.parts)), _ms(sum(p.ms for p in summary.parts)), ""])
    return ("Part", "Share", "ms", "copies in it, ms"), rows


def _phases(summary: Summary) -> Table:
    whole = sum(summary.phases.values()) or 1
    return ("Phase", "Share", "ms"), [[name, _share(ms / whole), _ms(ms)] for name, ms in summary.phases.items()]


def _operations(summary: Summary) -> Table:
    rows = [
        [op.name, _share(op.share), _ms(op.ms), f"{op.calls:g}", "" if op.flops is None else f"{op.flops / 1e9:.4g}"]
        for op in summary.operations[:SHOWN_OPERATIONS]
    ]
    return ("Operation", "Share", "ms", "calls", "GFLOP"), rows


def _blocks(summary: Summary) -> Table:
    rows = [[block.name, _share(block.share), _ms(block.ms)] for block in summary.blocks]
    return ("Block", "Share", "ms"), rows


def _bars(summary: Summary) -> Iterator[str]:
    """A bar a block, lengths in eighths of a character."""
    if not summary.blocks:
        yield "no blocks: no list of alike modules was found in this model"
        return
    longest, width = max(block.ms for block in summary.blocks) or 1, max(len(block.name) for block in summary.blocks)
    for block in summary.blocks:
        whole, eighths = divmod(round(8 * BAR * block.ms / longest), 8)
        bar = "█" * whole + " ▏▎▍▌▋▊▉"[eighths].strip()
        yield f"{block.name:{width}}  {bar:{BAR + 1}} {_ms(block.ms):>8} ms {_share(block.share):>6}"


def _notes(summary: Summary) -> Iterator[str]:
    """What else was found, and how far the numbers go."""
    memory = summary.memory
    if memory is None:
        yield "memory: not measured: the trace holds no allocations"
    elif memory.held is None:
        yield f"memory: peak {memory.peak / MIB:,.1f} MiB allocated on the device"
    else:
        held = "model, images, optimiser" if summary.phases else "model, images"
        before = f"of which {memory.held / MIB:,.1f} were there before the step ({held})"
        yield f"memory: peak {memory.peak / MIB:,.1f} MiB, {before}"
    agrees = summary.flops_counted is not None and not any("GFLOP a step" in found for found in summary.findings)
    yield f"FLOPs: {summary.flops / 1e9:.4g} GFLOP of products a step" + (", as counted" if agrees else "")
    other = [f"{name} {_ms(ms)} ms" for name, ms in summary.other[:SHOWN_OTHER] if ms > 0]
    if other:
        yield f"other: {', '.join(other)}" + (" and less" if len(summary.other) > SHOWN_OTHER else "")
    yield from summary.findings
    yield (
        f"shares are of the {summary.divided}; milliseconds are means over {_steps(summary)} under the profiler, "
        "which slows them: no interval, and no latency (python -m vitbench.measure has that)"
    )


def _share(share: float) -> str:
    return f"{100 * share:.1f}%"


def _ms(ms: float) -> str:
    return f"{ms:,.0f}" if ms >= 1000 else f"{ms:.4g}" if ms >= 100 else f"{ms:.3g}"


def _aligned(table: Table) -> list[str]:
    """Columns in line: the first to the left, numbers to the right."""
    rows = [list(table[0]), *table[1]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        first, *rest = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join([first.strip().ljust(widths[0]), *rest]).rstrip())
    return lines
