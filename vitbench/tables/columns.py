"""The columns of ``table.csv``, as the quantities declare them, and how their values are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from vitbench.declare.quantities import BUILT_IN, Quantity
from vitbench.declare.quantities.column import Better, Format
from vitbench.utils.format import count, percent, points, ratio, si, significant, text

Show: TypeAlias = Callable[[Any], str]

STATUS_WORDS = {"oom": "out of memory", "timeout": "timed out", None: "not run yet"}
"""Statuses in words, where the status itself is no word."""


SHOW: Mapping[Format, Show] = {
    "text": text, "count": count, "si": si, "significant": significant, "percent": percent, "points": points,
    "ratio": ratio,
}  # fmt: skip
"""The functions behind the formats that declarations name."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of the table, ready to be filled and shown.

    Attributes:
        name: in ``table.csv``; a unit is part of it.
        source: the frame that holds its value (``frames.sources``), and the field in that frame.
        title: as readers see it, with the unit in which ``show`` writes the value.
        unit: of the value that is stored.
        better: which direction is the better one, where there is one.
        show: the value as readers see it.
        optional: whether it is left out where no variant has it.
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
        """Of the column in the table: words, whole numbers that may be missing, or numbers."""
        return "object" if self.show is text else "Int64" if self.show in {si, count} else "float64"


BEFORE_AXES = (
    Column(name="variant", source=("plan", "variant"), title="Variant"),
    Column(name="family", source=("plan", "family"), title="Family"),
    Column(name="batch_size", source=("plan", "batch_size"), title="Batch size", unit="images", show=count),
    Column(name="status", source=("plan", "status"), title="Status"),
)
REASON = Column(name="reason", source=("plan", "reason"), title="Why")


def columns_of(quantities: Iterable[Quantity]) -> list[Column]:
    """The columns that quantities declare, in the order of the table."""
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
"""Every column of vitbench's own quantities; an ablation's axes follow ``status``."""


def columns_for(
    axes: Iterable[str], *, quantities: Iterable[Quantity] = tuple(BUILT_IN.values()), tuned: bool = False
) -> tuple[Column, ...]:
    """The columns of an ablation's table.

    Args:
        axes: of the ablation; each is a column.
        quantities: that it may have measured.
        tuned: whether anything was tuned; without it there are no columns of tuning.
    """
    named = (Column(name=axis, source=("axes", axis), title=axis) for axis in axes)
    shown = [quantity for quantity in quantities if tuned or quantity.per != "try"]
    return (*BEFORE_AXES, *named, *columns_of(shown), REASON)


def column(name: str) -> Column:
    """The column with that name, of vitbench's own quantities."""
    return next(c for c in COLUMNS if c.name == name)
