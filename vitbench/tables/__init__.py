"""Records → tidy DataFrames: the table, and the frames that figures are drawn from. Never torch.

Names are imported on first use (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vitbench.tables.compare import UnpairedError, comparisons, noise_floor, paired_units
    from vitbench.tables.frames import accuracy_seeds, latency_blocks, learning_curves, load, table, timings, write_csv
    from vitbench.tables.layout import COLUMNS, Column, columns_for
    from vitbench.tables.study import Study, read_study

_MODULES = {
    "COLUMNS": "layout",
    "Column": "layout",
    "Study": "study",
    "UnpairedError": "compare",
    "accuracy_seeds": "frames",
    "columns_for": "layout",
    "comparisons": "compare",
    "latency_blocks": "frames",
    "learning_curves": "frames",
    "load": "frames",
    "noise_floor": "compare",
    "paired_units": "compare",
    "read_study": "study",
    "table": "frames",
    "timings": "frames",
    "write_csv": "frames",
}

__all__ = [
    "COLUMNS",
    "Column",
    "Study",
    "UnpairedError",
    "accuracy_seeds",
    "columns_for",
    "comparisons",
    "latency_blocks",
    "learning_curves",
    "load",
    "noise_floor",
    "paired_units",
    "read_study",
    "table",
    "timings",
    "write_csv",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'vitbench.tables' has no attribute {name!r}")
    return getattr(importlib.import_module(f"vitbench.tables.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
