"""A results folder → table.csv, figures, report.md and one self-contained report.html. Never torch.

Everything is derived from the records: the same records give the same bytes. Names are imported on first use (PEP 562).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitbench.utils.lazy import lazy

if TYPE_CHECKING:
    from vitbench.report.write_report import terminal_table, write, write_and_show

__all__ = ["terminal_table", "write", "write_and_show"]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "write_report": ("terminal_table", "write", "write_and_show"),
    },
)
