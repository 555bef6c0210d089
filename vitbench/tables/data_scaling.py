"""Accuracy against the number of training images: a curve and a power law per model, and comparisons of curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from vitbench import stats
from vitbench.tables.comparable import comparable_seeds, seed_records
from vitbench.tables.compare import seed_accuracies, settings_of
from vitbench.tables.planned import Planned
from vitbench.tables.study import Study

AXES = ("data.fraction", "data.per_class")
FITTED_FROM = 4
"""Minimum number of sizes for a fit: three parameters and one degree of freedom to check it."""

POINTS = ("curve", "family", "images", "seed", "accuracy")
PAIRS = ("images", "first", "second", "value", "low", "high", "level", "n", "kind", "verdict")


@dataclass(frozen=True)
class DataCurve:
    """One model trained on several numbers of images.

    Attributes:
        name: name of the curve.
        family: family of its model.
        images: the numbers of training images, ascending.
        variants: the variant of each size.
        seeds: for each size, seed → accuracy.
        law: power law of the error, 1 − accuracy; None with too few sizes or seeds for a fit.
    """

    name: str
    family: str
    images: Sequence[int]
    variants: Sequence[str]
    seeds: Sequence[dict[int, float]]
    law: stats.PowerLaw | None


def data_curves(study: Study) -> list[DataCurve]:
    """The curve of every model trained on two or more sizes, in the order of the plan; empty without a data axis."""
    if not set(AXES) & set(study.plan.get("axes") or {}):
        return []
    members: dict[str, dict[int, Planned]] = {}
    for v in study.variants:
        size = images(study, v)
        if size is not None and seed_accuracies(study, v.name):
            members.setdefault(v.curve, {}).setdefault(size, v)
    curves = []
    for name, by_size in members.items():
        if len(by_size) < 2:
            continue
        sizes = sorted(by_size)
        rows = [by_size[size].name for size in sizes]
        seeds = [seed_accuracies(study, row) for row in rows]
        like, unlike = comparable_seeds(study, *(seed_records(study, row) for row in rows))
        law = _law(sizes, seeds) if not unlike else _law(sizes, [{s: own[s] for s in like} for own in seeds])
        curves.append(DataCurve(name, by_size[sizes[0]].family, sizes, rows, seeds, law))
    return curves


def images(study: Study, variant: Planned) -> int | None:
    """The number of training images of a variant; None if neither the plan nor the axes determine it."""
    if variant.images is not None:
        return variant.images
    data = study.plan.get("data") or {}
    per_class, fraction = (variant.axes.get(axis) for axis in reversed(AXES))
    if per_class is not None and "num_classes" in data:
        return int(per_class * data["num_classes"])
    if "num_train" not in data:
        return None
    return round(float(1.0 if fraction is None else fraction) * int(data["num_train"]))


def points(curves: Sequence[DataCurve]) -> pd.DataFrame:
    """One row per curve, size and seed: columns ``POINTS``."""
    rows = [
        (curve.name, curve.family, size, seed, accuracy)
        for curve in curves
        for size, seeds in zip(curve.images, curve.seeds, strict=True)
        for seed, accuracy in sorted(seeds.items())
    ]
    return pd.DataFrame(rows, columns=list(POINTS))


def lines(curves: Sequence[DataCurve], steps: int = 80) -> pd.DataFrame:
    """The fitted accuracy of each curve with its confidence band: ``curve, images, accuracy, low, high``."""
    parts = []
    for curve in curves:
        if curve.law is not None:
            at = np.geomspace(curve.images[0], curve.images[-1], steps)
            low, high = curve.law.band(at)
            ends = {"low": 1 - high, "high": 1 - low}
            parts.append(pd.DataFrame({"curve": curve.name, "images": at, "accuracy": 1 - curve.law.at(at), **ends}))
    columns = ["curve", "images", "accuracy", "low", "high"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def misses(curve: DataCurve) -> list[int]:
    """The sizes at which the fitted law lies outside the interval of the seeds' mean.

    The intervals are simultaneous, 95 % over all sizes (Bonferroni).
    """
    if curve.law is None:
        return []
    level = 1 - 0.05 / len(curve.images)
    seen = [stats.mean_interval([1 - accuracy for accuracy in seeds.values()], level) for seeds in curve.seeds]
    return [size for size, error in zip(curve.images, seen, strict=True) if error.excludes(float(curve.law.at(size)))]


def curve_pairs(curves: Sequence[DataCurve], baseline_family: str) -> list[tuple[DataCurve, DataCurve]]:
    """Pairs of curves to compare: each curve of the baseline's family with each curve of another family."""
    own = [curve for curve in curves if curve.family == baseline_family]
    return [(one, other) for one in own for other in curves if other.family != baseline_family]


def size_by_size(study: Study, first: DataCurve, second: DataCurve) -> pd.DataFrame:
    """The comparison of two curves at every common size, paired by seed: columns ``PAIRS``."""
    theirs = dict(zip(second.images, second.seeds, strict=True))
    units, means = {}, {}
    for size, ours in zip(first.images, first.seeds, strict=True):
        sides = [row for curve in (first, second) for row, own in _rows(curve) if own == size]
        common = comparable_seeds(study, *(seed_records(study, row) for row in sides))[0] if len(sides) == 2 else []
        if common:
            one, other = np.array([ours[s] for s in common]), np.array([theirs[size][s] for s in common])
            units[str(size)], means[str(size)] = one - other, (one.mean(), other.mean())
    compared = stats.compare_with_holm(units, settings_of(study, "accuracy"))
    rows = [
        (int(size), *means[size], c.value, c.low, c.high, c.level, c.n, c.verdict.kind, c.verdict.text)
        for size, c in compared.items()
    ]
    return pd.DataFrame(rows, columns=list(PAIRS))


def _rows(curve: DataCurve) -> list[tuple[str, int]]:
    """(variant, size) of each point of a curve."""
    return list(zip(curve.variants, curve.images, strict=True))


def _law(sizes: Sequence[int], seeds: Sequence[dict[int, float]]) -> stats.PowerLaw | None:
    """The power law fitted to seeds common to all sizes, or to all seeds if fewer than two are common."""
    common = sorted(set.intersection(*(set(own) for own in seeds)))
    errors = [[1 - own[s] for s in (common if len(common) > 1 else sorted(own))] for own in seeds]
    if len(sizes) < FITTED_FROM or min(map(len, errors)) < 2:
        return None
    return stats.power_law(sizes, errors)
