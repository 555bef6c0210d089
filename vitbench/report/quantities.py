"""Sections of the report for quantities that no other section shows, such as a user's own: one table each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vitbench.declare.quantities import Column, Quantity
from vitbench.report.phrases import span
from vitbench.report.text_tables import Cell, Grid, bracket, make
from vitbench.tables.columns import SHOW
from vitbench.tables.estimates import against_baseline, estimated
from vitbench.tables.frames import BASELINE
from vitbench.tables.study import Study
from vitbench.utils.format import MISSING, points, ratio

UNITS = {"windows": "windows", "blocks": "blocks of calls", "crossed": "seeds"}
HEADS = {"ratio": "Ratio to the baseline", "difference": "Difference from the baseline"}


def sections(study: Study) -> dict[str, Grid]:
    """Kind → table of each quantity that has a section of its own."""
    return {q.kind: _section(study, q) for q in study.quantities.values() if q.section is not None}


def _section(study: Study, quantity: Quantity) -> Grid:
    """A table of every column with its interval and its comparison with the baseline."""
    columns = [column for column in quantity.columns if column.part == "value"]
    frames = estimated(study, quantity)
    cells: dict[str, list[Cell]] = {v.name: [Cell(v.name, name=True)] for v in study.variants}
    heads, counts = ["Variant"], list[int]()
    for column in columns:
        known = frames[column.path].to_dict("index")
        counts += [int(row["n"]) for row in known.values() if "n" in row]
        heads.append(column.title or column.name)
        for name, row in cells.items():
            row.append(_value(column, known.get(name)))
        if quantity.compare != "none":
            heads.append(HEADS[quantity.compare])
            for name, row in cells.items():
                row.append(_comparison(study, quantity, column, name))
    return make(str(quantity.section), heads, list(cells.values()), _caption(quantity, counts))


def _value(column: Column, row: Mapping[Any, Any] | None) -> Cell:
    if row is None:
        return Cell(MISSING)
    show = SHOW[column.show]
    return Cell(show(row["value"]), bracket(row["low"], row["high"], show) if "low" in row else "")


def _comparison(study: Study, quantity: Quantity, column: Column, variant: str) -> Cell:
    if variant == study.baseline:
        return Cell(BASELINE)
    found, reason = against_baseline(study, quantity, column, variant)
    if found is None:
        return Cell(reason)
    show = ratio if quantity.compare == "ratio" else points if column.show == "percent" else SHOW[column.show]
    return Cell(show(found.value), "" if quantity.estimate == "scalar" else bracket(found.low, found.high, show))


def _caption(quantity: Quantity, counts: Sequence[int]) -> str:
    """What the numbers are, and what an interval is over."""
    if quantity.estimate == "scalar":
        return f"{quantity.note} One number for each variant, so no interval."
    units = UNITS[quantity.estimate]
    said = f"{quantity.note} Mean over {span(counts) or 'all'} {units}; in brackets its 95% interval."
    if quantity.compare == "none":
        return said
    return f"{said} The comparison is over pairs of {units}; it is not adjusted for the number of variants."
