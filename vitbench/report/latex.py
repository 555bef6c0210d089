r"""The report's tables as ``table.tex``: floats that a paper takes in with ``\input``, notes and intervals included."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vitbench.report.page import Page
from vitbench.report.text_tables import Cell, Grid
from vitbench.utils import latex as tex

BOLD = "Bold: better or faster than the baseline, by the verdict beside it."
SCOPE = ("Data", "Device", "Data type", "Batch size", "Threads")
"""What a table in a paper says of its scope, out of the report's section of that name."""

LONG_NAME, LONG_WORDS = 28, 20
"""Letters from which a column of names, or of words, breaks its lines."""


def render(page: Page) -> str:
    """The tables of results, of costs, and those beside figures, each a float with caption and label."""
    grids = [("results", page.results), ("costs", page.costs), *page.quantities.items()]
    grids += [
        (f"{picture.name}-{number}" if number > 1 else picture.name, grid)
        for picture in page.pictures
        for number, grid in enumerate(picture.grids, 1)
    ]
    body = "\n\n".join(_float(page, grid, what.replace("_", "-")) for what, grid in grids)
    return f"{_head(page)}{tex.definitions(body)}\n{body}\n"


def _head(page: Page) -> str:
    lines = (
        f"Made by vitbench from the records of the ablation {tex.escape(page.ablation)}.",
        "python -m vitbench.report DIR writes it again.",
        rf"Before \begin{{document}}: {tex.PACKAGES}; then \input it where the tables may stand.",
    )
    return "".join(f"% {line}\n" for line in lines)


def _float(page: Page, grid: Grid, what: str) -> str:
    rows = [_row(row, grid.numeric) for row in grid.rows]
    bold = any(r"\mathbf" in cell for row in rows for cell in row)
    heads = [tex.head(text, "r" if number else "l") for text, number in zip(grid.heads, grid.numeric, strict=True)]
    scope = [f"{name}: {value}." for name, value in page.scope if name in SCOPE] if grid is page.results else []
    caption = " ".join([page.question, grid.caption, *[BOLD] * bold, *scope])
    slug = re.sub(r"[^a-z0-9]+", "-", page.ablation.lower()).strip("-")
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{tex.words(caption)}}}",
        rf"\label{{tab:{'-'.join(filter(None, (slug, what)))}}}",
        r"\small",
        r"\setlength{\tabcolsep}{4pt}",
        tex.tabular(_columns(grid), heads, rows),
        r"\end{table}",
    ]
    return "\n".join(lines)


def _row(cells: Sequence[Cell], numeric: Sequence[bool]) -> list[str]:
    """A value is bold where the verdict that follows it is in its favour, and nowhere else."""
    verdicts = [*(cell.tone == "good" for cell in cells[1:]), False]
    return [
        tex.name(cell.text, breaks=len(cell.text) > LONG_NAME)
        if cell.name
        else tex.value(cell.text, cell.small, bold=good and number)
        for cell, number, good in zip(cells, numeric, verdicts, strict=True)
    ]


def _columns(grid: Grid) -> str:
    """Numbers to the right; names and words in lines of their own where they are long."""
    found = []
    for at, number in enumerate(grid.numeric):
        cells = [row[at] for row in grid.rows]
        longest = max((len(cell.text) for cell in cells), default=0)
        named = any(cell.name for cell in cells)
        width = "45mm" if named and longest > LONG_NAME else "36mm" if not named and longest > LONG_WORDS else ""
        found.append("r" if number else rf">{{\raggedright\arraybackslash}}p{{{width}}}" if width else "l")
    return "".join(found)
