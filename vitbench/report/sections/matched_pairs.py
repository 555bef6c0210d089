"""The section on pairs of models with equal cost, where two models of different families have one."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from vitbench import plots
from vitbench.report import cells
from vitbench.report.cells import Cell, Row
from vitbench.report.elements import Columns, Section, Table, prose, span
from vitbench.tables.matched_pairs import matched
from vitbench.tables.study import Study
from vitbench.utils.format import significant

SHORT = {"params": "parameters", "macs": "MACs", "latency_ms": "latency"}

CAPTION = """
    Accuracy of one model minus that of a model of the baseline's family with equal cost, paired by seed, with the
    interval of the verdict. Equal means within 2% for parameters and MACs and within 5% for measured latency."""
PAIRS = """
    Each model beside the nearest of the baseline's family in each cost; the ratio divides two numbers of the results
    and cost tables (no interval). Holm's procedure covers all pairs, over {seeds} seeds."""


def sections(study: Study, table: pd.DataFrame) -> Iterator[Section]:
    """The cost-matched pairs."""
    pairs = matched(study, table)
    equal = pairs[pairs["within"].astype(bool) & (pairs["kind"] != "not_measured")]
    if not len(equal):
        return
    home, away = equal["other_family"].iloc[0], " or ".join(dict.fromkeys(equal["family"]))
    labels = [f"{row['variant']} / {row['other']}, {SHORT[row['cost']]}" for row in equal.to_dict("records")]
    yield Section(
        name="matched",
        title="Cost-matched pairs",
        caption=prose(CAPTION),
        alt=f"Differences in accuracy of {len(equal)} pairs of equal cost; the table below has each one's verdict.",
        figure=plots.differences(equal.assign(name=labels), first=away, second=home),
        tables=[_table(pairs)],
    )


def _table(pairs: pd.DataFrame) -> Table:
    def ratio(row: Row) -> Cell:
        return Cell(f"{row['ratio']:.3f}" if 0.5 < row["ratio"] < 2 else significant(row["ratio"]))

    columns: Columns = {
        "Matched by": lambda row: cells.words(SHORT[row["cost"]]),
        "Variant": lambda row: cells.name(row["variant"]),
        "Nearest of the baseline's family": lambda row: cells.name(row["other"]),
        "Cost ratio": ratio,
        "Accuracy verdict": lambda row: cells.judged(row) if row["within"] else cells.verdict("not of equal cost"),
    }
    caption = PAIRS.format(seeds=span(pairs["n"][pairs["n"] > 0]))
    return Table.of("Pairs of equal cost", pairs.to_dict("records"), columns, caption)
