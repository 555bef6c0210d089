"""The elements of a report: phrases, tables, and sections with a figure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from vitbench.report.cells import Cell

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # a table alone does not load matplotlib

MANY, FIRST = 40, 12
"""A list of more than ``MANY`` names is cut to its ``FIRST`` names and the number of the rest."""

PLURAL = {"seed": "seeds", "block": "blocks", "process": "processes"}


class Name(str):
    """A variant's name, or another word from the user's files: rendered as code."""

    __slots__ = ()


Phrase: TypeAlias = tuple[str, ...]
"""Plain text and ``Name``s, which each renderer escapes in its own way."""


def plain(phrase: Iterable[str]) -> str:
    """The phrase as one string."""
    return "".join(phrase)


def prose(text: str) -> str:
    """The text on one line."""
    return " ".join(text.split())


def listed(items: Sequence[Phrase], last: str = " and ", between: str = ", ") -> Phrase:
    """``a``, ``a and b``, or ``a, b and c``."""
    parts: list[str] = []
    for number, item in enumerate(items):
        if number:
            parts.append(last if number == len(items) - 1 else between)
        parts += item
    return tuple(parts)


def names(of: Iterable[str]) -> Phrase:
    """The names as a list; a very long list is cut."""
    found: list[Phrase] = [(Name(name),) for name in of]
    if len(found) > MANY:
        return listed([*found[:FIRST], (f"{counted(len(found) - FIRST)} more",)])
    return listed(found)


def first(items: Sequence[str]) -> list[str]:
    """The items; a very long list is cut, and its last item says how many are missing."""
    if len(items) > MANY:
        return [*items[:FIRST], f"and {counted(len(items) - FIRST)} more"]
    return list(items)


def span(numbers: Iterable[int]) -> str:
    """``6``, or ``5 to 6``."""
    found = sorted({int(number) for number in numbers})
    return "" if not found else f"{found[0]}" if len(found) == 1 else f"{found[0]} to {found[-1]}"


def counted(number: int, noun: str = "") -> str:
    """A whole number with thin spaces between thousands, and the noun that it counts: ``12 500 rows``."""
    shown = f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    return f"{shown} {noun}{'s' * (number != 1)}" if noun else shown


Columns: TypeAlias = Mapping[str, Callable[[Any], Cell]]
"""Heading → the function that makes a row's cell."""


@dataclass(frozen=True)
class Table:
    """A table: title, headings, rows and caption."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str

    @classmethod
    def of(cls, title: str, rows: Iterable[Any], columns: Columns, caption: str) -> Table:
        """A table with one row for each of ``rows``."""
        return cls(title, list(columns), [[make(row) for make in columns.values()] for row in rows], prose(caption))

    @cached_property
    def numeric(self) -> list[bool]:
        """Whether each column holds only numbers; such a column is aligned to the right."""
        return [all(row[at].kind == "number" for row in self.rows) for at in range(len(self.heads))]

    def with_note(self, note: str, *, rows: int | None = None) -> Table:
        """The table with a longer caption, and with its first ``rows`` only."""
        return replace(self, caption=f"{self.caption} {note}", rows=self.rows[:rows])


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section of the report: a figure with caption and description, and tables.

    Attributes:
        name: of the figure's files, and of the section in links.
        alt: describes the figure to those who cannot see it.
        answer: sentences that the section adds to the report's answer.
    """

    name: str
    title: str
    caption: str
    alt: str
    figure: Figure
    tables: Sequence[Table] = ()
    answer: Sequence[Phrase] = ()
