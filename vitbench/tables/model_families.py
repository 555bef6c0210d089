"""Comparisons of model families: a representative of each, and the Pareto fronts of accuracy and cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from vitbench import stats
from vitbench.tables.comparable import SOURCE_KINDS, comparable_seeds, mismatch_reason, seed_records, source_record
from vitbench.tables.compare import seed_accuracies
from vitbench.tables.planned import Planned
from vitbench.tables.study import Study

TRAINING = "train_seconds"
COSTS = ("latency_ms", "macs", "peak_memory_training_mib", "params", TRAINING)
"""The costs to compare accuracy with: columns of the table, and the seconds of training."""

DRAWS = 10_000
"""Bootstrap draws over seeds; the probability's standard error is at most 0.5 points."""

FRONT = (
    "cost", "variant", "family", "value", "low", "high", "accuracy", "accuracy_low", "accuracy_high", "probability",
)  # fmt: skip


def full_data_variants(study: Study) -> list[Planned]:
    """The variants trained on the same data as the baseline."""
    base = next(v for v in study.variants if v.is_baseline).axes
    return [
        v
        for v in study.variants
        if all(base.get(axis) == value for axis, value in v.axes.items() if axis.startswith("data."))
    ]


def families(study: Study) -> dict[str, list[Planned]]:
    """Family → its variants with an accuracy, the baseline's family first."""
    found: dict[str, list[Planned]] = {}
    for v in full_data_variants(study):
        if seed_accuracies(study, v.name):
            found.setdefault(v.family, []).append(v)
    return found


def representatives(study: Study) -> dict[str, str]:
    """Family → its variant with the highest mean validation accuracy over seeds; ties go to the first.

    The choice does not use the test split.
    """
    return {
        family: max(variants, key=lambda v: validated(study, v.name)).name
        for family, variants in families(study).items()
    }


def validated(study: Study, variant: str) -> float:
    """Mean validation accuracy over seeds; −∞ without one."""
    seen = [r.values.get("val_accuracy") for r in study.of("accuracy", variant)]
    known = [float(value) for value in seen if value is not None]
    return float(np.mean(known)) if known else -math.inf


def training_seconds(study: Study, variant: str) -> stats.Interval | None:
    """Seconds of one training without evaluations: mean over seeds with its t interval."""
    seconds = [r.values.get(TRAINING) for r in study.of("accuracy", variant)]
    known = [float(value) for value in seconds if value is not None]
    return stats.mean_interval(known) if known else None


def fronts(study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """Accuracy against every cost, with each model's probability of being on the Pareto front.

    Args:
        study: the study with the seeds; ``stats.front_probability`` resamples those that all models share.
        table: the results table with costs and accuracies.

    Returns:
        One row per cost and variant with the columns ``FRONT``; counted costs have no bounds.
    """
    names = [v.name for variants in families(study).values() for v in variants]
    scored = table[table["variant"].isin(names)].to_dict("records")
    seconds = {name: training_seconds(study, name) for name in names}
    parts = []
    for cost in COSTS:
        rows = []
        for row in scored:
            found = seconds[row["variant"]]
            if cost != TRAINING:
                value, low, high = (_number(row.get(key)) for key in (cost, f"{cost}_low", f"{cost}_high"))
            else:
                value, low, high = (found.value, found.low, found.high) if found else (math.nan, math.nan, math.nan)
            if not math.isnan(value) and not _apart(study, cost, row["variant"]):
                scores = row["accuracy"], row["accuracy_low"], row["accuracy_high"]
                rows.append((cost, row["variant"], row["family"], value, low, high, *scores))
        if rows:
            seeds = _paired(study, [row[1] for row in rows])
            chances = stats.front_probability([row[3] for row in rows], seeds, draws=DRAWS)
            parts += [(*row, chance) for row, chance in zip(rows, chances, strict=True)]
    return pd.DataFrame(parts, columns=list(FRONT))


def _apart(study: Study, cost: str, variant: str) -> bool:
    """Whether a variant's cost or accuracy is not comparable with the baseline's, which excludes it from the front."""
    for kind in ("accuracy", SOURCE_KINDS.get(cost, "accuracy")):
        ours, base = (source_record(study, kind, name) for name in (variant, study.baseline))
        if ours and base and mismatch_reason(study, ours, base, seconds=cost == TRAINING):
            return True
    return False


def _number(cell: Any) -> float:
    return math.nan if cell is None or pd.isna(cell) else float(cell)


def _paired(study: Study, variants: Sequence[str]) -> list[list[float]]:
    """Per variant, the accuracies of the common seeds, or of all its seeds if fewer than two are common."""
    seeds = [seed_accuracies(study, name) for name in variants]
    common, _ = comparable_seeds(study, *(seed_records(study, name) for name in variants))
    return [[own[seed] for seed in (common if len(common) > 1 else sorted(own))] for own in seeds]
