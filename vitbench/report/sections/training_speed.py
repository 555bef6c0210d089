"""The section on training speed: validation accuracy of two families or more against steps and seconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from vitbench import plots
from vitbench.report import cells
from vitbench.report.elements import Columns, Section, Table, prose
from vitbench.tables.model_families import representatives
from vitbench.tables.study import Study
from vitbench.tables.training_outcomes import progress
from vitbench.utils.format import count, percent, significant

MARGIN = 0.01
"""The target is so much below the lowest final validation accuracy of the families' best variants."""

SPEED = """
    Validation accuracy after each epoch, mean over seeds, against training steps and against the seconds in training
    steps. A line is a variant in the colour of its family; the thick line is the family's best on the validation
    split."""
TARGET = """
    The first epoch with a validation accuracy of {target}%, one point below the lower final accuracy; means over seeds,
    no interval."""


def sections(study: Study) -> Iterator[Section]:
    """Training speed of the families."""
    curves = progress(study)
    if len(set(curves["family"])) < 2:
        return
    leaders = [variant for variant in representatives(study).values() if variant in set(curves["variant"])]
    chance = (study.plan.get("data") or {}).get("chance")
    yield Section(
        name="learning_steps_seconds",
        title="Training speed",
        caption=prose(SPEED),
        alt=f"Validation accuracy of {curves['variant'].nunique()} variants against steps and seconds of training.",
        figure=plots.progress(curves, leaders=leaders, chance=chance),
        tables=[_target(curves, leaders)] if len(leaders) > 1 else [],
    )


def _target(curves: pd.DataFrame, leaders: Sequence[str]) -> Table:
    """Steps and seconds of each family's best variant to the same validation accuracy."""
    own = [curves[curves["variant"] == variant] for variant in leaders]
    target = min(float(curve["val_accuracy"].iloc[-1]) for curve in own) - MARGIN
    columns: Columns = {
        "Variant": lambda row: cells.name(row["variant"]),
        "Family": lambda row: cells.words(row["family"]),
        "Training steps": lambda row: cells.number(row["steps"], count),
        "Training time (s)": lambda row: cells.number(row["seconds"], significant),
    }
    rows = [curve[curve["val_accuracy"] >= target].iloc[0] for curve in own]
    return Table.of("Training to a target accuracy", rows, columns, TARGET.format(target=percent(target)))
