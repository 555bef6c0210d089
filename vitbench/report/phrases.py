"""Text in which variants' names stand apart, so that each rendering can set and escape them its own way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

MANY, FIRST = 40, 12
"""A sentence names so many at most; of more so many, and how many are left."""


class Name(str):
    """A variant's name, or another word from the user's files: set as code."""

    __slots__ = ()


Phrase: TypeAlias = tuple[str, ...]
"""Plain text and ``Name``s, to be written one after the other."""


def plain(phrase: Iterable[str]) -> str:
    return "".join(phrase)


def listed(items: Sequence[Phrase], last: str = " and ", between: str = ", ") -> Phrase:
    """``a``, ``a and b``, ``a, b and c``."""
    parts: list[str] = []
    for number, item in enumerate(items):
        if number:
            parts.append(last if number == len(items) - 1 else between)
        parts += item
    return tuple(parts)


def span(numbers: Iterable[int]) -> str:
    """``6``, or ``5 to 6``."""
    found = sorted({int(number) for number in numbers})
    return "" if not found else f"{found[0]}" if len(found) == 1 else f"{found[0]} to {found[-1]}"


def names(of: Iterable[str]) -> Phrase:
    """Names as a list in a sentence; of very many the first."""
    found: list[Phrase] = [(Name(name),) for name in of]
    if len(found) > MANY:
        return listed([*found[:FIRST], (f"{counted(len(found) - FIRST)} more",)])
    return listed(found)


def first(items: Sequence[str]) -> list[str]:
    """What a sentence enumerates; of very many the first, and how many more there are."""
    if len(items) > MANY:
        return [*items[:FIRST], f"and {counted(len(items) - FIRST)} more"]
    return list(items)


def counted(number: int) -> str:
    """A whole number as readers see it: ``12 500``."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
