"""The section on bottlenecks: each variant under the roofline of its machine."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import pandas as pd

from vitbench import plots, stats
from vitbench.report import cells
from vitbench.report.cells import Cell, Row, bracket
from vitbench.report.elements import Columns, Section, Table, prose, span
from vitbench.tables.frames import timings
from vitbench.tables.model_families import full_data_variants
from vitbench.tables.roofline import Machine, machines, points
from vitbench.tables.study import Study
from vitbench.utils.format import absent, percent, si, significant

CAPTION = """
    Roofline (Williams, Waterman & Patterson 2009): the flat line is the peak matmul throughput, the sloping line the
    memory bandwidth. A mark stands at the memory traffic of unfused operations, its thin line ends at the compulsory
    traffic (weights, input and output, each once); hollow marks are limited by operator launch overhead."""
CEILINGS = """
    Measured beside the latencies, with 95% intervals over {windows} windows; bandwidth counts bytes read and written.
    {notes}"""
BOTTLENECKS = """
    FLOP/s divides the FLOPs of a batch by its latency, and peak share divides it by the peak matmul throughput; the
    interval combines the 95% intervals over {blocks} blocks and {windows} windows, the other numbers have no interval.
    Roofline efficiency is the share of the roof above the mark; far below 100%, most time goes to kernels far below
    both limits. Launch share is the number of operations times the launch overhead, divided by the latency; the
    bottleneck is launch if it explains at least half of a latency of at least twice the roofline's time."""
PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"))


def sections(study: Study) -> Iterator[Section]:
    """The roofline, where ceilings were measured beside the latencies."""
    own = {v.name for v in full_data_variants(study)}  # the number of training images does not change a model's cost
    placed = points(study, timings(study))
    placed = placed[placed["variant"].isin(own)].reset_index(drop=True)
    if placed.empty:
        return
    known = [machine for key, machine in machines(study).items() if key in set(placed["machine"])]
    roofs = pd.DataFrame(
        [(m.name, m.roofline.flop_per_s, m.roofline.bytes_per_s) for m in known],
        columns=["machine", "flop_per_s", "bytes_per_s"],
    )
    best = placed.iloc[int(placed["share"].argmax())]
    nearest = f"Highest peak share: {best['variant']}, {percent(best['share'])}%; the table has their intervals."
    under = f"{len(placed)} variants, under {len(roofs)} roof{'s' * (len(roofs) != 1)}"
    yield Section(
        name="roofline",
        title="Bottlenecks (roofline)",
        caption=prose(CAPTION),
        alt=f"Achieved FLOP/s over FLOPs per byte of {under}. {nearest}",
        figure=plots.roofs(placed, roofs),
        tables=[_bottlenecks(placed, known), _ceilings(known)],
    )


def _bottlenecks(placed: pd.DataFrame, known: Sequence[Machine]) -> Table:
    def launch(row: Row) -> Cell:
        return cells.NOTHING if absent(row["launch_share"]) else Cell(f"{percent(row['launch_share'])}%")

    columns: Columns = {
        "Variant": lambda row: cells.name(row["variant"]),
        "Bottleneck": lambda row: cells.words(row["bound"]),
        "Peak share (%)": lambda row: cells.measured(row, "share", percent),
        "FLOP/s": lambda row: cells.number(row["achieved"], si),
        "FLOPs per byte": lambda row: Cell(
            f"{significant(row['intensity'])} to {significant(row['intensity_at_most'])}"
        ),
        "Roofline efficiency (%)": lambda row: cells.number(row["roof_share"], percent),
        "Launch share": launch,
    }
    windows = span(machine.flop_per_s.n for machine in known)
    caption = BOTTLENECKS.format(blocks=span(placed["n"]), windows=windows)
    return Table.of("Bottlenecks", placed.to_dict("records"), columns, caption)


def _ceilings(known: Sequence[Machine]) -> Table:
    columns: Columns = {
        "Settings": lambda machine: cells.name(machine.name),
        "Peak matmul throughput": lambda machine: _rate(machine.flop_per_s, "FLOP/s"),
        "Memory bandwidth": lambda machine: _rate(machine.bytes_per_s, "B/s"),
        "Operator launch overhead (µs)": lambda machine: _overhead(machine.ops_per_s),
    }
    notes = " ".join(f"{machine.name}: {note}." for machine in known for note in machine.notes)
    windows = span(machine.flop_per_s.n for machine in known)
    return Table.of("Machine limits", known, columns, CEILINGS.format(windows=windows, notes=notes))


def _rate(interval: stats.Interval, unit: str) -> Cell:
    """A rate and its interval with one prefix."""
    factor, prefix = next(((f, p) for f, p in PREFIXES if interval.value >= f), (1.0, ""))
    ends = bracket(interval.low / factor, interval.high / factor, significant)
    return Cell(f"{significant(interval.value / factor)} {prefix}{unit}", ends)


def _overhead(rate: stats.Interval | None) -> Cell:
    """The time to launch one operation."""
    if rate is None:
        return cells.NOTHING
    slow, fast = (1e6 / end if end > 0 else math.nan for end in (rate.low, rate.high))
    return Cell(significant(1e6 / rate.value), bracket(fast, slow, significant))
