"""The columns of ``table.csv``, which the quantities declare, and the formats of their values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from vitbench.declare.quantities import BUILT_IN, Quantity
from vitbench.declare.quantities.column import Better, Format
from vitbench.utils.format import count, percent, points, ratio, si, significant, text

Show: TypeAlias = Callable[[Any], str]

STATUS_WORDS = {"oom": "out of memory", "timeout": "timed out", None: "not run yet"}
"""Readable names of statuses that are abbreviations or missing."""


SHOW: Mapping[Format, Show] = {
    "text": text, "count": count, "si": si, "significant": significant, "percent": percent, "points": points,
    "ratio": ratio,
}  # fmt: skip
"""Format name in a declaration → formatting function."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of the table: its source and its format.

    Attributes:
        name: the column name in ``table.csv``, including the unit.
        source: the frame with the values (a key of ``frames.sources``), and the field in that frame.
        title: the column head in reports, with the unit that ``show`` writes.
        unit: the unit of the stored value.
        better: the better direction; None if neither is better.
        show: formats a value for reports.
        optional: whether the column is omitted if no variant has a value.
    """

    name: str
    source: tuple[str, str]
    title: str
    unit: str = ""
    better: Better | None = None
    show: Show = text
    optional: bool = False

    @property
    def dtype(self) -> str:
        """The pandas dtype: text, nullable integers, or floats."""
        return "object" if self.show is text else "Int64" if self.show in {si, count} else "float64"


BEFORE_AXES = (
    Column(name="variant", source=("plan", "variant"), title="Variant"),
    Column(name="family", source=("plan", "family"), title="Family"),
    Column(name="batch_size", source=("plan", "batch_size"), title="Batch size", unit="images", show=count),
    Column(name="status", source=("plan", "status"), title="Status"),
)
REASON = Column(name="reason", source=("plan", "reason"), title="Why")


def columns_of(quantities: Iterable[Quantity]) -> list[Column]:
    """The columns of the given quantities, in the order of the table."""
    declared = [(column, quantity) for quantity in quantities for column in quantity.columns]
    return [
        Column(
            name=column.name,
            source=(f"{quantity.kind} {column.path}", column.part),
            title=column.title or column.name,
            unit=column.unit,
            better=column.better,
            show=SHOW[column.show],
            optional=column.optional,
        )
        for column, quantity in sorted(declared, key=lambda pair: pair[0].place)
    ]


COLUMNS = (*BEFORE_AXES, *columns_of(BUILT_IN.values()), REASON)
"""Every column of the built-in quantities; an ablation's axes follow ``status``."""


def columns_for(
    axes: Iterable[str], *, quantities: Iterable[Quantity] = tuple(BUILT_IN.values()), tuned: bool = False
) -> tuple[Column, ...]:
    """The columns of an ablation's table.

    Args:
        axes: the ablation's axes, one column each.
        quantities: the quantities that the ablation may have measured.
        tuned: whether any variant was tuned; if not, the tuning columns are omitted.
    """
    named = (Column(name=axis, source=("axes", axis), title=axis) for axis in axes)
    shown = [quantity for quantity in quantities if tuned or quantity.per != "try"]
    return (*BEFORE_AXES, *named, *columns_of(shown), REASON)


def column(name: str) -> Column:
    """The column of a built-in quantity by its name."""
    return next(c for c in COLUMNS if c.name == name)
