"""The files that a report leaves beside itself; each figure is there as SVG and PNG too."""

from __future__ import annotations

FILES = {
    "table.csv": "every column in full precision",
    "table.tex": "LaTeX with booktabs",
    "report.html": "this report as one page",
    "report.md": "this report as Markdown",
    "records.jsonl": "the raw samples",
}
"""Name → what it is."""

EFFECTS = "effects.csv"
OF_A_GRID = {EFFECTS: "main effects and interactions in full precision"}
"""What the report of a grid leaves besides."""


def files(*, grid: bool) -> dict[str, str]:
    """Name → what it is, of all that a report leaves."""
    table, *others = FILES.items()
    return dict([table, *(OF_A_GRID.items() if grid else ()), *others])
