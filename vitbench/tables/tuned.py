"""Tuned variants: the chosen hyperparameters, the gain in accuracy, and the cost of tuning."""

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
    """Seed → test accuracy of the variant with its tuned hyperparameters."""
    found = study.of("accuracy", variant, tuned=True)
    return {r.seed: float(r.values["accuracy"]) for r in found if r.seed is not None}


def tuned(study: Study) -> pd.DataFrame:
    """The accuracy of every variant with the shared recipe and tuned: columns ``TUNED``; empty without tuning.

    ``gain`` is the verdict on tuned against shared recipe, ``verdict`` that on the tuned variant against the tuned
    baseline. Each is a separate Holm family, paired by seed. ``gain`` is ``OWN`` if the recipe's values were chosen.
    ``tried`` is the variant whose tries made the choice.
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
    """The cost of tuning, one row per tuned variant: ``variant, serves, tries, failed, seconds, lr, weight_decay``.

    ``serves``: the number of variants that use its choice; ``seconds``: the sum over its tries.
    """
    of = [chosen.of for chosen in study.chosen.values()]
    rows = []
    for name in dict.fromkeys(of):
        chosen = next(c for c in study.chosen.values() if c.of == name)
        rows.append((name, of.count(name), chosen.tries, chosen.failed, chosen.seconds, chosen.lr, chosen.weight_decay))
    return pd.DataFrame(rows, columns=["variant", "serves", "tries", "failed", "seconds", "lr", "weight_decay"])


def _units(study: Study, *sides: tuple[str, bool]) -> NDArray[np.float64]:
    """Differences (seeds,) between two sides, each (variant, tuned), over their comparable seeds."""
    kept, _ = comparable_seeds(study, *(seed_records(study, name, tuned=tuned) for name, tuned in sides))
    ours, theirs = (
        {seed: tuned_accuracies(study, name)[seed] if tuned else seed_accuracies(study, name)[seed] for seed in kept}
        for name, tuned in sides
    )
    return by_seed(ours, theirs)


def _bounds(seeds: dict[int, float]) -> tuple[float, float, float]:
    """The mean with its t interval, clipped to [0, 1]."""
    if not seeds:
        return math.nan, math.nan, math.nan
    found = stats.mean_interval(list(seeds.values()))
    return found.value, float(np.maximum(found.low, 0)), float(np.minimum(found.high, 1))
