"""Tables of the quantities that have a section of their own, such as a user's own quantities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from vitbench.declare.quantities import Column, Quantity
from vitbench.report import cells
from vitbench.report.cells import Cell
from vitbench.report.elements import Table, span
from vitbench.tables.columns import SHOW
from vitbench.tables.estimates import against_baseline, estimated
from vitbench.tables.frames import BASELINE
from vitbench.tables.study import Study
from vitbench.utils.format import points, ratio

UNITS = {"windows": "windows", "blocks": "blocks of calls", "crossed": "seeds"}
HEADS = {"ratio": "Ratio to the baseline", "difference": "Difference from the baseline"}


def quantity_sections(study: Study) -> dict[str, Table]:
    """Kind → table of each quantity that has a section of its own."""
    return {q.kind: _section(study, q) for q in study.quantities.values() if q.section is not None}


def _section(study: Study, quantity: Quantity) -> Table:
    """Every column of the quantity with its interval and its comparison with the baseline."""
    frames = estimated(study, quantity)
    columns: dict[str, Callable[[Any], Cell]] = {"Variant": cells.name}
    counts: list[int] = []
    shown = [column for column in quantity.columns if column.part == "value"]
    for column in shown:
        known = frames[column.path].to_dict("index")
        counts += [int(row["n"]) for row in known.values() if "n" in row]
        title = column.title or column.name
        columns[title] = partial(_value, column, known)
        if quantity.compare != "none":
            head = HEADS[quantity.compare] if len(shown) == 1 else f"{title}, {HEADS[quantity.compare].lower()}"
            columns[head] = partial(_compared, study, quantity, column)
    return Table.of(str(quantity.section), [v.name for v in study.variants], columns, _caption(quantity, counts))


def _value(column: Column, known: Mapping[Any, Mapping[Any, Any]], variant: str) -> Cell:
    row, show = known.get(variant), SHOW[column.show]
    if row is None:
        return cells.NOTHING
    return cells.estimate(row["value"], row["low"], row["high"], show) if "low" in row else Cell(show(row["value"]))


def _compared(study: Study, quantity: Quantity, column: Column, variant: str) -> Cell:
    if variant == study.baseline:
        return cells.words(BASELINE)
    found, reason = against_baseline(study, quantity, column, variant)
    if found is None:
        return cells.words(reason)
    show = ratio if quantity.compare == "ratio" else points if column.show == "percent" else SHOW[column.show]
    if quantity.estimate == "scalar":
        return Cell(show(found.value))
    return cells.estimate(found.value, found.low, found.high, show)


def _caption(quantity: Quantity, counts: Sequence[int]) -> str:
    """What the numbers are, and what an interval is over."""
    if quantity.estimate == "scalar":
        return f"{quantity.note} One number for each variant, so no interval."
    units = UNITS[quantity.estimate]
    said = f"{quantity.note} Mean over {span(counts) or 'all'} {units}; in brackets its 95% interval."
    if quantity.compare == "none":
        return said
    return f"{said} The comparison is over pairs of {units}; it is not adjusted for the number of variants."
