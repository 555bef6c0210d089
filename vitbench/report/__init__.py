"""Writes the table, the figures and the reports of a results folder, without torch.

The same records give the same bytes. Names are imported on first use (PEP 562).
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
