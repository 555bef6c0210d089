"""The part of a report that sets models of equal cost side by side."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from vitbench import plots
from vitbench.report.phrases import Name, Phrase, listed, span
from vitbench.report.section import Picture, prose
from vitbench.report.text_tables import Cell, Grid, make, tone
from vitbench.tables.matched_pairs import TOLERANCES, matched
from vitbench.tables.study import Study
from vitbench.utils.format import significant

SHORT = {"params": "parameters", "macs": "MACs", "latency_ms": "latency"}

CAPTION = """
    Accuracy of one model minus that of another of equal cost, of which the other is of the baseline's family; paired by
    seed, with the interval that the verdict rests on. Equal means within 2% for parameters and MACs, within 5% for the
    latency that was measured."""
GRID = """
    For each model the nearest of the baseline's family in each cost; where that is too far, no pair was matched, and
    accuracy and cost differ together. A ratio is that of two numbers of the table (no interval). All pairs are one
    family under Holm, compared over {seeds} seeds."""


def draw(study: Study, table: pd.DataFrame) -> Iterator[Picture]:
    """One part, where two models of different families cost the same."""
    pairs = matched(study, table)
    equal = pairs[pairs["within"].astype(bool) & (pairs["kind"] != "not_measured")]
    if not len(equal):
        return
    home, away = equal["other_family"].iloc[0], " or ".join(dict.fromkeys(equal["family"]))
    names = [f"{row['variant']} / {row['other']}, {SHORT[row['cost']]}" for row in equal.to_dict("records")]
    yield Picture(
        name="matched",
        title="Pairs of equal cost",
        caption=prose(CAPTION),
        alt=f"Differences in accuracy of {len(equal)} pairs of equal cost; the table below has each one's verdict.",
        figure=plots.differences(equal.assign(name=names), first=away, second=home),
        words=list(_words(equal)),
        grids=[_grid(pairs)],
    )


def _words(equal: pd.DataFrame) -> Iterator[Phrase]:
    for cost in TOLERANCES:
        said = [
            (Name(row["variant"]), " beside ", Name(row["other"]), f": {row['verdict']}")
            for row in equal[equal["cost"] == cost].to_dict("records")
        ]
        if said:
            yield (f"At equal {SHORT[cost]}, ", *listed(said, last="; ", between="; "), ".")


def _grid(pairs: pd.DataFrame) -> Grid:
    rows = []
    for row in pairs.to_dict("records"):
        equal = bool(row["within"])
        ratio = f"{row['ratio']:.3f}" if 0.5 < row["ratio"] < 2 else significant(row["ratio"])
        verdict = Cell(row["verdict"], tone=tone(row["kind"])) if equal else Cell("not of equal cost")
        rows.append([
            Cell(SHORT[row["cost"]]), Cell(row["variant"], name=True), Cell(row["other"], name=True), Cell(ratio),
            verdict,
        ])  # fmt: skip
    heads = ["Matched by", "Variant", "Nearest of the baseline's family", "Ratio of the cost", "Accuracy"]
    return make("Pairs of equal cost", heads, rows, prose(GRID).format(seeds=span(pairs["n"][pairs["n"] > 0])))
