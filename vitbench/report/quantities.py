"""Sections of the report for quantities that no other section shows, such as a user's own: one table each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vitbench.declare.quantities import Column, Quantity
from vitbench.report import cells
from vitbench.report.cells import Cell
from vitbench.report.elements import Table, prose, span
from vitbench.tables.columns import SHOW
from vitbench.tables.estimates import against_baseline, estimated
from vitbench.tables.frames import BASELINE
from vitbench.tables.study import Study
from vitbench.utils.format import points, ratio

UNITS = {"windows": "windows", "blocks": "blocks of calls", "crossed": "seeds"}
HEADS = {"ratio": "Ratio to the baseline", "difference": "Difference from the baseline"}


def tables(study: Study) -> dict[str, Table]:
    """Kind → table of each quantity that has a section of its own."""
    return {q.kind: _table(study, q) for q in study.quantities.values() if q.section is not None}


def _table(study: Study, quantity: Quantity) -> Table:
    """Every column with its interval and its comparison with the baseline, one row for each variant."""
    frames = estimated(study, quantity)
    rows = {v.name: [cells.name(v.name)] for v in study.variants}
    heads, counts = ["Variant"], list[int]()
    for column in (column for column in quantity.columns if column.part == "value"):
        known = frames[column.path].to_dict("index")
        counts += [int(row["n"]) for row in known.values() if "n" in row]
        heads.append(column.title or column.name)
        for name, row in rows.items():
            row.append(_value(column, known.get(name)))
        if quantity.compare != "none":
            heads.append(HEADS[quantity.compare])
            for name, row in rows.items():
                row.append(_comparison(study, quantity, column, name))
    return Table(str(quantity.section), heads, list(rows.values()), prose(_caption(quantity, counts)))


def _value(column: Column, row: Mapping[Any, Any] | None) -> Cell:
    if row is None:
        return cells.NOTHING
    show = SHOW[column.show]
    return Cell(show(row["value"]), cells.bracket(row["low"], row["high"], show) if "low" in row else "")


def _comparison(study: Study, quantity: Quantity, column: Column, variant: str) -> Cell:
    if variant == study.baseline:
        return cells.words(BASELINE)
    found, reason = against_baseline(study, quantity, column, variant)
    if found is None:
        return cells.words(reason)
    show = ratio if quantity.compare == "ratio" else points if column.show == "percent" else SHOW[column.show]
    return Cell(show(found.value), "" if quantity.estimate == "scalar" else cells.bracket(found.low, found.high, show))


def _caption(quantity: Quantity, counts: Sequence[int]) -> str:
    """What the numbers are, and what an interval is over."""
    if quantity.estimate == "scalar":
        return f"{quantity.note} One number for each variant, so no interval."
    units = UNITS[quantity.estimate]
    said = f"{quantity.note} Mean over {span(counts) or 'all'} {units}; in brackets its 95% interval."
    if quantity.compare == "none":
        return said
    return f"{said} The comparison is over pairs of {units}; it is not adjusted for the number of variants."
