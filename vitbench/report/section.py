"""A part of a report that has a figure: what it shows, in words, for those who cannot see it, and in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from vitbench.report.phrases import Phrase
from vitbench.report.text_tables import Grid


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure under its file name, with title, caption and alternative text.

    Attributes:
        words: sentences that stand before it.
        grids: tables that stand after it.
        answer: sentences that it adds to the report's answer.
    """

    name: str
    title: str
    caption: str
    alt: str
    figure: Figure
    words: Sequence[Phrase] = ()
    grids: Sequence[Grid] = ()
    answer: Sequence[Phrase] = ()


def prose(text: str) -> str:
    """A text of several lines on one."""
    return " ".join(text.split())
