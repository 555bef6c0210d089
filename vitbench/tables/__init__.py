"""Tidy DataFrames of the records: the results table and the data behind the figures. Never imports torch.

Names are imported on first use (PEP 562).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitbench.utils.lazy import lazy

if TYPE_CHECKING:
    from vitbench.tables.columns import COLUMNS, Column, columns_for
    from vitbench.tables.compare import UnpairedError, comparisons, noise_floor, paired_units
    from vitbench.tables.frames import (
        accuracy_seeds,
        attention_distances,
        latency_blocks,
        learning_curves,
        load,
        position_similarities,
        table,
        timings,
        write_csv,
    )
    from vitbench.tables.study import Study, read_study

__all__ = [
    "COLUMNS",
    "Column",
    "Study",
    "UnpairedError",
    "accuracy_seeds",
    "attention_distances",
    "columns_for",
    "comparisons",
    "latency_blocks",
    "learning_curves",
    "load",
    "noise_floor",
    "paired_units",
    "position_similarities",
    "read_study",
    "table",
    "timings",
    "write_csv",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "compare": ("UnpairedError", "comparisons", "noise_floor", "paired_units"),
        "frames": (
            "accuracy_seeds",
            "attention_distances",
            "latency_blocks",
            "learning_curves",
            "load",
            "position_similarities",
            "table",
            "timings",
            "write_csv",
        ),
        "columns": ("COLUMNS", "Column", "columns_for"),
        "study": ("Study", "read_study"),
    },
)
