"""Accuracy by group of test images, for data sets that name groups of their test split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from vitbench import stats
from vitbench.tables.model_families import families
from vitbench.tables.study import Study

GROUPS = ("variant", "family", "group", "images", "seed", "accuracy")


def named_groups(study: Study) -> list[tuple[str, int]]:
    """(name, number of test images) of each group, in the order of the test split."""
    data: Mapping[str, Any] = study.plan.get("data") or {}
    return [(str(name), int(size)) for name, size in data.get("test_groups") or []]


def group_accuracies(study: Study) -> pd.DataFrame:
    """One row per variant, group and seed: columns ``GROUPS``; empty if the data set has no groups."""
    groups = named_groups(study)
    rows = []
    for family, variants in families(study).items() if groups else ():
        for v in variants:
            for record in sorted(study.of("accuracy", v.name), key=lambda r: r.seed or 0):
                right = np.asarray((record.samples.get("correct") or {}).get("values") or [], dtype=np.float64)
                if len(right) == sum(size for _, size in groups):
                    rows += [
                        (v.name, family, name, size, record.seed, float(part.mean()))
                        for (name, size), part in _parts(groups, right)
                    ]
    return pd.DataFrame(rows, columns=list(GROUPS))


def group_means(accuracies: pd.DataFrame) -> pd.DataFrame:
    """Mean accuracy over seeds with its t interval, clipped to [0, 1].

    Returns:
        ``variant, family, group, images, value, low, high, n``.
    """
    rows = []
    for (variant, family, group), own in accuracies.groupby(["variant", "family", "group"], sort=False):
        found = stats.mean_interval(own["accuracy"])
        low, high = np.maximum(found.low, 0), np.minimum(found.high, 1)
        rows.append((variant, family, group, int(own["images"].iloc[0]), found.value, float(low), float(high), found.n))
    return pd.DataFrame(rows, columns=["variant", "family", "group", "images", "value", "low", "high", "n"])


def _parts(groups: list[tuple[str, int]], right: np.ndarray) -> Iterator[tuple[tuple[str, int], np.ndarray]]:
    ends = np.cumsum([size for _, size in groups])
    yield from zip(groups, np.split(right, ends[:-1]), strict=True)
