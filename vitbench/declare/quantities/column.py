"""``Column``: one column of ``table.csv``, and where its value comes from."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Format: TypeAlias = Literal["text", "count", "si", "significant", "percent", "points", "ratio"]
"""How readers see a value: a word, a whole number, three digits with k, M or G, three digits, hundredths, …"""

Better: TypeAlias = Literal["higher", "lower"]


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of the table.

    Attributes:
        name: in ``table.csv``; it includes the unit.
        path: where a record holds the value: ``values.NAME`` or ``samples.NAME``, with further dots for nested values.
            A quantity with a reader of its own names one of the reader's frames instead.
        part: ``value``, or ``low`` or ``high`` for an end of its 95% interval; any column of a reader's frame.
        title: the column's heading, with the unit in which ``show`` writes the value; by default the name.
        unit: of the stored value.
        better: which direction is the better one, if there is one.
        show: how readers see the value.
        scale: factor by which the record's value is multiplied.
        log: whether mean and interval are those of the logarithm, so that the mean is geometric.
        optional: whether the column is left out of a table where no variant has a value.
        place: columns of a table are sorted by it; columns with the same place stay in the order of their quantities.
    """

    name: str
    path: str
    part: str = "value"
    title: str = ""
    unit: str = ""
    better: Better | None = None
    show: Format = "significant"
    scale: float = 1.0
    log: bool = False
    optional: bool = False
    place: int = 100


def with_interval(column: Column, *, optional: bool = False) -> tuple[Column, ...]:
    """The column, and those of both ends of its interval; ``optional`` is about the ends."""
    ends = (
        dataclasses.replace(
            column,
            name=f"{column.name}_{end}",
            part=end,
            title=f"{column.title}, {end}",
            better=None,
            optional=optional or column.optional,
        )
        for end in ("low", "high")
    )
    return column, *ends


def comparison(column: Column) -> Sequence[Column]:
    """The columns of a comparison with the baseline: its value and interval, the interval's level, and the verdict."""
    level = Column(
        name=f"{column.name}_level", path=column.path, part="level", title="Level of that interval", place=column.place
    )
    verdict = Column(
        name=f"{column.name}_verdict",
        path=column.path,
        part="verdict",
        title="Verdict",
        show="text",
        place=column.place,
    )
    return (*with_interval(column), level, verdict)
