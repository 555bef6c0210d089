"""Whether records of a study are comparable by the rules of ``records.comparability``, and the reasons if not.

``select_records`` has already checked the settings of records of one plan. Settings are compared only between records
of different plans, which a report may show side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vitbench.declare.quantities import BUILT_IN, base_kind
from vitbench.records.comparability import describe, mismatches
from vitbench.records.record import Record

if TYPE_CHECKING:
    from vitbench.tables.study import Study

SOURCE_KINDS = {column.name: quantity.kind for quantity in BUILT_IN.values() for column in quantity.columns}
"""Column of the table → kind of the record that holds its value."""


def mismatch_reason(study: Study, first: Record, second: Record, *, seconds: bool = False) -> str:
    """The reason why two records are not compared, to follow "not compared:"; empty if they are comparable."""
    ours, theirs = study.planned(first.variant), study.planned(second.variant)
    apart = (ours and ours.origin) != (theirs and theirs.origin)
    quantity = study.quantities[base_kind(first.kind)]
    return describe(mismatches(quantity, first, second, study.environments, settings=apart, seconds=seconds))


def cell_mismatch_reason(study: Study, column: str, first: str, second: str) -> str:
    """The reason why two variants are not compared in a column; empty if they are comparable or one has no record."""
    ours, theirs = (source_record(study, SOURCE_KINDS[column], name) for name in (first, second))
    return mismatch_reason(study, ours, theirs) if ours and theirs else ""


def source_record(study: Study, kind: str, variant: str) -> Record | None:
    """The record that holds a variant's cell; for a joint timing, the record of its best session."""
    if study.quantities[kind].per == "session":
        return next((session[variant] for session in study.sessions(kind) if variant in session), None)
    return next(reversed(study.of(kind, variant)), None)


def seed_records(study: Study, variant: str, *, tuned: bool = False) -> dict[int, Record]:
    """Seed → accuracy record."""
    return {r.seed: r for r in study.of("accuracy", variant, tuned=tuned) if r.seed is not None}


def comparable_seeds(study: Study, *by_seed: Mapping[int, Record]) -> tuple[list[int], dict[int, str]]:
    """Seeds every variant has under comparable conditions, and why other common seeds are excluded.

    The seeds are ascending; the reasons are by seed.
    """
    common = sorted(set.intersection(*(set(own) for own in by_seed))) if by_seed else []
    reasons: dict[int, str] = {}
    for seed in common:
        first, *others = (own[seed] for own in by_seed)
        why = next(filter(None, (mismatch_reason(study, other, first) for other in others)), "")
        if why:
            reasons[seed] = why
    return [seed for seed in common if seed not in reasons], reasons
