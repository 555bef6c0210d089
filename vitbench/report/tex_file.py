r"""The report's tables as ``table.tex``: floats with captions, for ``\input`` in a paper."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vitbench.report.cells import Cell
from vitbench.report.elements import Table
from vitbench.report.page import Page
from vitbench.utils import latex as tex

BOLD = "Bold: better or faster than the baseline, by the verdict beside it."
SCOPE = ("Data", "Device", "Data type", "Batch size", "Threads")
"""The rows of the report's scope that the caption of the results has."""

LONG_NAME, LONG_WORDS = 28, 20
"""Length from which a column of names, or of words, breaks its lines."""


def render(page: Page) -> str:
    """The tables of results, of costs, and of the sections, each a float with caption and label."""
    tables = [("results", page.results), ("costs", page.costs), *page.quantities.items()]
    tables += [
        (f"{section.name}-{number}" if number > 1 else section.name, table)
        for section in page.sections
        for number, table in enumerate(section.tables, 1)
    ]
    body = "\n\n".join(_float(page, table, what.replace("_", "-")) for what, table in tables)
    return f"{_head(page)}{tex.definitions(body)}\n{body}\n"


def _head(page: Page) -> str:
    lines = (
        f"Made by vitbench from the records of the ablation {tex.escape(page.ablation)}.",
        "python -m vitbench.report DIR writes it again.",
        rf"Before \begin{{document}}: {tex.PACKAGES}; then \input it where the tables belong.",
    )
    return "".join(f"% {line}\n" for line in lines)


def _float(page: Page, table: Table, what: str) -> str:
    rows = [_row(row, table.numeric) for row in table.rows]
    bold = any(r"\mathbf" in cell for row in rows for cell in row)
    heads = [tex.head(text, "r" if number else "l") for text, number in zip(table.heads, table.numeric, strict=True)]
    scope = [f"{name}: {value}." for name, value in page.scope if name in SCOPE] if table is page.results else []
    caption = " ".join([page.question, table.caption, *[BOLD] * bold, *scope])
    slug = re.sub(r"[^a-z0-9]+", "-", page.ablation.lower()).strip("-")
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{tex.words(caption)}}}",
        rf"\label{{tab:{'-'.join(filter(None, (slug, what)))}}}",
        r"\small",
        r"\setlength{\tabcolsep}{4pt}",
        tex.tabular(_columns(table), heads, rows),
        r"\end{table}",
    ]
    return "\n".join(lines)


def _row(cells: Sequence[Cell], numeric: Sequence[bool]) -> list[str]:
    """A row; a number is bold only if the verdict in the next column is better or faster."""
    verdicts = [*(cell.tone == "good" for cell in cells[1:]), False]
    return [
        tex.name(cell.text, breaks=len(cell.text) > LONG_NAME)
        if cell.kind == "name"
        else tex.value(cell.text, cell.small, bold=good and number)
        for cell, number, good in zip(cells, numeric, verdicts, strict=True)
    ]


def _columns(table: Table) -> str:
    """The column types: numbers to the right, long names and words in paragraphs."""
    found = []
    for at, number in enumerate(table.numeric):
        cells = [row[at] for row in table.rows]
        longest = max((len(cell.text) for cell in cells), default=0)
        named = any(cell.kind == "name" for cell in cells)
        width = "45mm" if named and longest > LONG_NAME else "36mm" if not named and longest > LONG_WORDS else ""
        found.append("r" if number else rf">{{\raggedright\arraybackslash}}p{{{width}}}" if width else "l")
    return "".join(found)
