"""Which of a study's records may be subtracted, by the rule of ``likeness``, and why others may not.

What the ablation declares as an axis is exempt: of one plan's records the settings are the plan's or the axes', which
``belonging`` sees to; they are compared here only where records of two plans stand side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vitbench.records.comparability import sentence, unlike
from vitbench.records.record import Record

if TYPE_CHECKING:
    from vitbench.tables.study import Study

TIMED = ("latency", "train_step", "throughput")
BEHIND = {
    **dict.fromkeys(("params", "macs", "flops", "activations"), "cost"),
    **dict.fromkeys(("peak_memory_inference_mib", "peak_memory_training_mib"), "memory"),
    "latency_ms": "latency",
    "train_step_ms": "train_step",
    "throughput_img_s": "throughput",
}
"""Column of the table → kind of the record that it is read from."""


def why_unlike(study: Study, first: Record, second: Record, *, seconds: bool = False) -> str:
    """Why two records of a study are not compared, fit to stand behind "not compared"; empty where they are alike."""
    ours, theirs = study.planned(first.variant), study.planned(second.variant)
    apart = (ours and ours.origin) != (theirs and theirs.origin)
    return sentence(unlike(first, second, study.environments, settings=apart, seconds=seconds))


def why_not_subtracted(study: Study, column: str, first: str, second: str) -> str:
    """Why two variants' cells of a column are not compared; empty where they are alike, or one of them is not there."""
    ours, theirs = (behind(study, BEHIND[column], name) for name in (first, second))
    return why_unlike(study, ours, theirs) if ours and theirs else ""


def behind(study: Study, kind: str, variant: str) -> Record | None:
    """The record that a variant's cell is read from: of a timing the one of its best session."""
    if kind in TIMED:
        return next((session[variant] for session in study.sessions(kind) if variant in session), None)
    return next(reversed(study.of(kind, variant)), None)


def seed_records(study: Study, variant: str, *, tuned: bool = False) -> dict[int, Record]:
    """Seed → the accuracy record of that seed."""
    return {r.seed: r for r in study.of("accuracy", variant, tuned=tuned) if r.seed is not None}


def like_seeds(study: Study, *by_seed: Mapping[int, Record]) -> tuple[list[int], dict[int, str]]:
    """Seeds that all have under like conditions, ascending, and seed → why of those that all have but not so."""
    common = sorted(set.intersection(*(set(own) for own in by_seed))) if by_seed else []
    reasons: dict[int, str] = {}
    for seed in common:
        first, *others = (own[seed] for own in by_seed)
        why = next(filter(None, (why_unlike(study, other, first) for other in others)), "")
        if why:
            reasons[seed] = why
    return [seed for seed in common if seed not in reasons], reasons
