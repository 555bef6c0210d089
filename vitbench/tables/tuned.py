"""Each model at its tuned best: what tuning chose, what that brought, and what it cost."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vitbench import stats
from vitbench.tables.comparable import comparable_seeds, seed_records
from vitbench.tables.compare import by_seed, seed_accuracies, settings_of
from vitbench.tables.study import Study

TUNED = (
    "variant", "family", "same", "same_low", "same_high", "tuned", "tuned_low", "tuned_high", "lr", "weight_decay",
    "gain_kind", "gain", "kind", "verdict", "seeds", "tried",
)  # fmt: skip

OWN = "the recipe's own values won"


def tuned_accuracies(study: Study, variant: str) -> dict[int, float]:
    """Seed → test accuracy of the variant trained with what its tuning chose."""
    found = study.of("accuracy", variant, tuned=True)
    return {r.seed: float(r.values["accuracy"]) for r in found if r.seed is not None}


def tuned(study: Study) -> pd.DataFrame:
    """Every variant under the shared recipe and at its tuned best: columns ``TUNED``; empty without tuning.

    ``gain`` is the verdict of tuned against the shared recipe, ``verdict`` that of the tuned variant against the tuned
    baseline; each is a family of its own, paired by seed. Where the recipe's own values won there is nothing to gain,
    and ``gain`` says so. ``tried`` is the variant whose tries chose.
    """
    accuracies = {v.name: found for v in study.variants if (found := tuned_accuracies(study, v.name))}
    same = {name: seed_accuracies(study, name) for name in accuracies}
    metric = settings_of(study, "accuracy")
    other = [name for name in accuracies if name in study.chosen and study.chosen[name].number]
    gains = {name: units for name in other if (units := _units(study, (name, True), (name, False))).size}
    gained = stats.compare_with_holm(gains, metric)
    others = {
        name: units
        for name in accuracies
        if name != study.baseline and (units := _units(study, (name, True), (study.baseline, True))).size
    }
    against = stats.compare_with_holm(others, metric)
    rows = []
    for v in study.variants:
        if v.name not in accuracies or v.name not in study.chosen:
            continue
        chosen, gain, verdict = study.chosen[v.name], gained.get(v.name), against.get(v.name)
        rows.append((
            v.name, v.family, *_bounds(same[v.name]), *_bounds(accuracies[v.name]), chosen.lr, chosen.weight_decay,
            gain.verdict.kind if gain else "", gain.verdict.text if gain else "" if chosen.number else OWN,
            verdict.verdict.kind if verdict else "", verdict.verdict.text if verdict else "",
            len(accuracies[v.name]), chosen.of,
        ))  # fmt: skip
    return pd.DataFrame(rows, columns=list(TUNED))


def tuning_cost(study: Study) -> pd.DataFrame:
    """What was tried, once for each variant tried: ``variant, serves, tries, failed, seconds, lr, weight_decay``.

    ``serves`` counts the variants that its tries chose for; ``seconds`` are those of all its tries.
    """
    of = [chosen.of for chosen in study.chosen.values()]
    rows = []
    for name in dict.fromkeys(of):
        chosen = next(c for c in study.chosen.values() if c.of == name)
        rows.append((name, of.count(name), chosen.tries, chosen.failed, chosen.seconds, chosen.lr, chosen.weight_decay))
    return pd.DataFrame(rows, columns=["variant", "serves", "tries", "failed", "seconds", "lr", "weight_decay"])


def _units(study: Study, *sides: tuple[str, bool]) -> NDArray[np.float64]:
    """Differences (seeds,) of two sides, each (variant, tuned or not): of seeds that both have in like conditions."""
    kept, _ = comparable_seeds(study, *(seed_records(study, name, tuned=tuned) for name, tuned in sides))
    ours, theirs = (
        {seed: tuned_accuracies(study, name)[seed] if tuned else seed_accuracies(study, name)[seed] for seed in kept}
        for name, tuned in sides
    )
    return by_seed(ours, theirs)


def _bounds(seeds: dict[int, float]) -> tuple[float, float, float]:
    """Mean and t interval, kept within 0 and 1."""
    if not seeds:
        return math.nan, math.nan, math.nan
    found = stats.mean_interval(list(seeds.values()))
    return found.value, float(np.maximum(found.low, 0)), float(np.minimum(found.high, 1))
