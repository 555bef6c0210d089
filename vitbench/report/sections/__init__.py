"""The sections of a report that have a figure, one module for each subject."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from vitbench.report import shown_variants
from vitbench.report.elements import Section
from vitbench.report.sections import (
    attention,
    data_scaling,
    effects,
    matched_pairs,
    pareto,
    roofline,
    training_outcomes,
    training_speed,
    tuning,
    variants,
)
from vitbench.tables.effects import Crossed
from vitbench.tables.effects import crossed as crossed_of
from vitbench.tables.study import Study


def all_sections(
    study: Study, table: pd.DataFrame, compared: pd.DataFrame, crossed: Crossed | None = None
) -> Iterator[Section]:
    """Every section that has data, in the order of the report.

    Args:
        study: the records.
        table: one row a variant.
        compared: every variant against the baseline.
        crossed: ``tables.effects.crossed(study)``, if it is known already; its figures are about all variants, while
            the other figures of a very large study show some (``shown_variants``).
    """
    crossed = crossed_of(study) if crossed is None else crossed
    if crossed is not None:
        yield from effects.sections(crossed.grid, crossed.effects)
    kept = shown_variants.in_figures(study)
    if kept is None:
        yield from _sections(study, table, compared)
        return
    few, rows, against = study.only(kept), *(frame[frame["variant"].isin(kept)] for frame in (table, compared))
    for section in _sections(few, rows.reset_index(drop=True), against):
        yield shown_variants.with_note(study, section)


def _sections(study: Study, table: pd.DataFrame, compared: pd.DataFrame) -> Iterator[Section]:
    yield from variants.sections(study, table, compared)
    yield from roofline.sections(study)
    yield from variants.curves(study, table)
    yield from pareto.sections(study, table)
    yield from training_speed.sections(study)
    yield from matched_pairs.sections(study, table)
    yield from tuning.sections(study)
    yield from data_scaling.sections(study)
    yield from training_outcomes.sections(study)
    yield from attention.sections(study)
