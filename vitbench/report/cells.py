"""The cells of the report's tables: names, words, numbers with their intervals, and verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from vitbench.tables.columns import Show, column
from vitbench.utils.format import MISSING, absent

Row: TypeAlias = Mapping[Any, Any]

GOOD, BAD = ("better", "faster"), ("worse", "slower", "invalid")


def bracket(low: Any, high: Any, show: Show) -> str:
    """``[low, high]``, or ``no interval``."""
    return "no interval" if absent(low) or absent(high) else f"[{show(low)}, {show(high)}]"


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: its main text.
        small: the interval, in small print.
        tone: ``good`` or ``bad`` for a verdict that says so, else empty.
        kind: decides alignment and sorting; a verdict is sorted by its effect.
    """

    text: str
    small: str = ""
    tone: str = ""
    kind: Literal["number", "name", "words", "verdict"] = "number"


NOTHING = Cell(MISSING)


def name(text: Any) -> Cell:
    """A variant's name, or another word from the user's files."""
    return Cell(str(text), kind="name")


def words(text: Any) -> Cell:
    """A cell of words."""
    return Cell(str(text), kind="words")


def number(value: Any, show: Show = str) -> Cell:
    """A number that is exact, or whose table says that it has no interval."""
    return NOTHING if absent(value) else Cell(show(value))


def estimate(value: Any, low: Any, high: Any, show: Show) -> Cell:
    """A number with its interval, or with the words ``no interval``."""
    return NOTHING if absent(value) else Cell(show(value), bracket(low, high, show))


def measured(row: Row, field: str, show: Show | None = None) -> Cell:
    """The estimate in the columns ``field``, ``field_low`` and ``field_high``; ``show`` is by default the column's."""
    return estimate(row[field], row[f"{field}_low"], row[f"{field}_high"], show or column(field).show)


def verdict(text: str, kind: str = "") -> Cell:
    """A verdict in words; ``kind`` is the verdict's kind in ``stats.verdicts``."""
    tone = "good" if kind in GOOD else "bad" if kind in BAD else ""
    return Cell(text or MISSING, tone=tone, kind="verdict")


def judged(row: Row) -> Cell:
    """The verdict in the columns ``verdict`` and ``kind``."""
    return verdict(row["verdict"], row["kind"])
