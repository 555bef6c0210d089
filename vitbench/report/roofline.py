"""The part of a report that says what holds each variant back: arithmetic, memory, or starting operations."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import pandas as pd

from vitbench import plots, stats
from vitbench.report.phrases import Name, Phrase, names, span
from vitbench.report.section import Picture, prose
from vitbench.report.text_tables import Cell, Grid, bracket, make
from vitbench.tables.columns import column
from vitbench.tables.frames import timings
from vitbench.tables.model_families import whole
from vitbench.tables.roofline import Machine, machines, points
from vitbench.tables.study import Study
from vitbench.utils.format import MISSING, absent, percent, si, significant

CAPTION = """
    Roofline (Williams, Waterman & Patterson 2009): no call is faster than the matrix products of this machine (the flat
    roof), nor than copying the bytes that it moves (the sloping one). A point stands where the bytes are those that
    operations read and write when each runs by itself; the thin line ends where they are only weights, input and
    output, each once. What reached memory lies between. Hollow: held back by starting operations."""
GRID = """
    Share: FLOPs of a batch ÷ latency ÷ the ceiling of matrix products; in brackets the share at the far ends of
    both 95% intervals, the latency's over {blocks} blocks and the ceiling's over {windows} windows. All else has no
    interval. One over 100% would mean that the ceiling was measured while the machine was busier. FLOPs per byte:
    of the unfused traffic, then of the compulsory one. The roof over it: the lowest that the point does not break;
    what is far below every roof spends its time in kernels that reach none. Starting operations: their number × the
    time that an operation takes in a model that computes next to nothing, ÷ latency; over 100% where this model's
    cost less. Launch: starting operations explains at least half of a latency that is at least twice the roofline's
    time. Else what that roof is: bandwidth, or compute."""
PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"))

HALF = 0.5
"""Of a roof, under which it explains less of the time than everything else does."""

SAID = {
    "compute": "By arithmetic: ",
    "bandwidth": "By moving data to and from memory: ",
    "launch": "By starting operations, so that fewer of them would help, and faster arithmetic would not: ",
}


def draw(study: Study) -> Iterator[Picture]:
    """The roofline, where ceilings were measured beside the latencies."""
    own = {v.name for v in whole(study)}  # more training images change no model's cost
    placed = points(study, timings(study))
    placed = placed[placed["variant"].isin(own)].reset_index(drop=True)
    if placed.empty:
        return
    known = {name: machine for name, machine in machines(study).items() if name in set(placed["machine"])}
    roofs = pd.DataFrame(
        [(name, m.roofline.flop_per_s, m.roofline.bytes_per_s) for name, m in known.items()],
        columns=["machine", "flop_per_s", "bytes_per_s"],
    )
    best = placed.iloc[int(placed["share"].argmax())]
    nearest = f"Nearest to the ceiling: {best['variant']}, {percent(best['share'])}%; the table has their intervals."
    under = f"{len(placed)} variants, under {len(roofs)} roof{'s' * (len(roofs) != 1)}"
    yield Picture(
        name="roofline",
        title="What holds each variant back",
        caption=prose(CAPTION),
        alt=f"Achieved FLOP/s over FLOPs per byte of {under}. {nearest}",
        figure=plots.roofs(placed, roofs),
        words=list(_words(placed, list(known.values()))),
        grids=[_grid(placed, list(known.values()))],
    )


def _words(placed: pd.DataFrame, known: Sequence[Machine]) -> Iterator[Phrase]:
    for machine in known:
        yield (_ceilings(machine),)
    for bound, said in SAID.items():
        held = placed[placed["bound"] == bound]
        if len(held):
            near = "" if bound == "launch" else _near(held["roof_share"])
            yield (said, *names(list(held["variant"])), f"{near}.")
    high, low = (placed.iloc[int(at)] for at in (placed["share"].argmax(), placed["share"].argmin()))
    shares = [
        (
            Name(row["variant"]),
            f" reaches {percent(row['share'])}% {bracket(row['share_low'], row['share_high'], percent)}",
        )
        for row in (high, low)
    ]
    if high["variant"] == low["variant"]:
        yield (*shares[0], " of the ceiling of matrix products.")
    else:
        yield (*shares[0], " of the ceiling of matrix products, the most; ", *shares[1], ", the least.")


def _near(shares: pd.Series[float]) -> str:
    """How much of the roof is reached: what is far below it is held back by something that no roof shows."""
    low, high = percent(shares.min()), percent(shares.max())
    reached = f", at {low if low == high else f'{low} to {high}'}% of that roof (no interval)"
    return reached + (": most of the time goes to kernels that are near no roof" if shares.max() < HALF else "")


def _ceilings(machine: Machine) -> str:
    parts = [
        f"{machine.name}: matrix products reach {_rate(machine.flop_per_s, 'FLOP/s')}",
        f"copying moves {_rate(machine.bytes_per_s, 'B/s')}, read and written",
    ]
    starting = machine.ops_per_s
    if starting is not None:
        slow, fast = (1e6 / end if end > 0 else math.nan for end in (starting.low, starting.high))
        each = f"{significant(1e6 / starting.value)} {bracket(fast, slow, significant)} µs"
        parts.append(f"starting an operation takes {each}")
    measured = f"95% intervals over {machine.flop_per_s.n} windows, measured beside the latencies"
    return f"{', '.join(parts)} ({measured}).{''.join(f' Note: {note}.' for note in machine.notes)}"


def _rate(interval: stats.Interval, unit: str) -> str:
    """A rate with its interval, under one prefix: ``110 [109, 111] GFLOP/s``."""
    factor, prefix = next(((f, p) for f, p in PREFIXES if interval.value >= f), (1.0, ""))
    ends = bracket(interval.low / factor, interval.high / factor, significant)
    return f"{significant(interval.value / factor)} {ends} {prefix}{unit}"


def _grid(placed: pd.DataFrame, known: Sequence[Machine]) -> Grid:
    rows = []
    for row in placed.to_dict("records"):
        small = bracket(row["share_low"], row["share_high"], percent)
        starting = MISSING if absent(row["launch_share"]) else f"{percent(row['launch_share'])}%"
        rows.append(
            [
                Cell(row["variant"], name=True),
                Cell(row["bound"]),
                Cell(percent(row["share"]), small),
                Cell(f"{si(row['achieved'])}"),
                Cell(f"{significant(row['intensity'])} to {significant(row['intensity_at_most'])}"),
                Cell(percent(row["roof_share"])),
                Cell(starting),
            ]
        )
    heads = [
        "Variant", column("bound").title, column("achieved_share").title, "FLOP/s", "FLOPs per byte",
        "Share of the roof over it (%)", "Starting operations",
    ]  # fmt: skip
    caption = GRID.format(blocks=span(placed["n"]), windows=span(machine.flop_per_s.n for machine in known))
    return make("Share of the machine's ceilings", heads, rows, caption)
