"""A results folder → table.csv, figures, report.md and one self-contained report.html. Never torch.

Everything is derived from the records: the same records give the same bytes. Names are imported on first use (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vitbench.report.writing import terminal_table, write

__all__ = ["terminal_table", "write"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'vitbench.report' has no attribute {name!r}")
    return getattr(importlib.import_module("vitbench.report.writing"), name)


def __dir__() -> list[str]:
    return __all__
