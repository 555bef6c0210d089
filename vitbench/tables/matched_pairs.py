"""Cost-matched pairs: each model with the closest model of the baseline's family, and their accuracy difference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from vitbench.tables.comparable import cell_mismatch_reason
from vitbench.tables.compare import compare_pairs
from vitbench.tables.model_families import families
from vitbench.tables.study import Study

TOLERANCES: Mapping[str, float] = {"params": 0.02, "macs": 0.02, "latency_ms": 0.05}
"""Cost → relative difference up to which two models count as equal; latency has more, because it is measured."""

MATCHED = (
    "cost", "variant", "family", "other", "other_family", "ratio", "within", "value", "low", "high", "level", "n",
    "kind", "verdict",
)  # fmt: skip


def matched(study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """Every model of another family paired with the closest model of the baseline's family, per cost.

    Args:
        study: the study with the accuracies; all pairs form one Holm family, in which a repeated pair counts once.
        table: the results table with the costs.

    Returns:
        One row per cost and variant with the columns ``MATCHED``. ``ratio``: the variant's cost ÷ the other's;
        ``within``: whether it is within ``TOLERANCES``; ``value``: the variant's accuracy − the other's.
    """
    own, *others = families(study).items() or [("", [])]
    costs = table.set_index("variant")
    found = []
    for cost, tolerance in TOLERANCES.items():
        known = {str(name): float(value) for name, value in costs[cost].items() if not pd.isna(value) and value > 0}
        at_home = [v.name for v in own[1] if v.name in known]
        for family, variants in others:
            for name in (v.name for v in variants if v.name in known and at_home):
                like = [other for other in at_home if not cell_mismatch_reason(study, cost, name, other)]
                if not like:
                    continue
                other = _nearest(known, name, like)
                ratio = known[name] / known[other]
                within = max(ratio, 1 / ratio) <= 1 + tolerance
                found.append((cost, name, family, other, own[0], ratio, within))
    compared = compare_pairs(study, "accuracy", {str(i): (row[1], row[3]) for i, row in enumerate(found)})
    rows = [
        (*row, c.value, c.low, c.high, c.level, c.n, c.verdict.kind, c.verdict.text)
        for row, c in zip(found, compared.values(), strict=True)
    ]
    return pd.DataFrame(rows, columns=list(MATCHED))


def _nearest(costs: Mapping[str, float], name: str, among: Sequence[str]) -> str:
    """The variant with the closest cost; ties go to the first."""
    return min(among, key=lambda other: abs(math.log(costs[name] / costs[other])))
