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
