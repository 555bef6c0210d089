"""The Pareto front of cost and accuracy, and the probability that a model lies on it given few seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vitbench.stats.estimates import FloatArray


def on_front(costs: ArrayLike, accuracies: ArrayLike) -> NDArray[np.bool_]:
    """Whether each model is Pareto-optimal, (…, models).

    A model is not if another costs at most as much and is at least as accurate, and is strictly better in one of them.

    Args:
        costs: (models,), lower is better.
        accuracies: (…, models), higher is better; leading axes are independent fronts.
    """
    cost, accuracy = np.asarray(costs, dtype=np.float64), np.asarray(accuracies, dtype=np.float64)
    if cost.ndim != 1 or accuracy.shape[-1:] != cost.shape or not (np.isfinite(cost).all() and cost.size):
        raise ValueError(f"expected a finite cost per model, got {cost.shape} for accuracies {accuracy.shape}")
    optimal = np.zeros(accuracy.shape, dtype=np.bool_)
    best = np.full(accuracy.shape[:-1], -np.inf)  # of all cheaper models
    for price in np.unique(cost):
        group = np.flatnonzero(cost == price)
        own = accuracy[..., group].max(axis=-1)
        optimal[..., group] = (accuracy[..., group] == own[..., None]) & (own > best)[..., None]
        best = np.maximum(best, own)
    return optimal


def front_probability(
    costs: ArrayLike, accuracy_by_seed: Sequence[ArrayLike], *, draws: int = 10_000, seed: int = 0
) -> FloatArray:
    """The fraction of bootstrap draws over seeds in which each model lies on the Pareto front, (models,).

    If all models have the same number of seeds, a draw takes the same seeds for all, because equal seeds share weights
    and data order; otherwise each model is drawn separately. Deviations from the mean are scaled by √(n/(n−1)), which
    makes the bootstrap variance of a mean unbiased. Costs are fixed. A front contains several models, so the fractions
    do not add up to 1.

    Args:
        costs: (models,), lower is better.
        accuracy_by_seed: for each model its accuracies, (seeds,); one seed has no spread.
        draws: number of draws.
        seed: seed of the draws.

    Raises:
        ValueError: a model has no seed, or the number of costs is not the number of models.
    """
    arrays = [np.asarray(accuracies, dtype=np.float64) for accuracies in accuracy_by_seed]
    if any(a.ndim != 1 or not a.size or not np.isfinite(a).all() for a in arrays) or not arrays:
        raise ValueError("expected at least one model, each with the accuracy of one seed or more")
    rng = np.random.default_rng(seed)
    together = len({a.size for a in arrays}) == 1
    shared = rng.integers(arrays[0].size, size=(draws, arrays[0].size)) if together else None
    means = np.empty((draws, len(arrays)))
    for i, array in enumerate(arrays):
        n = array.size
        drawn = shared if shared is not None else rng.integers(n, size=(draws, n))
        # sorted, so that equal draws have bit-identical sums and ties stay ties
        centre = np.sort(array).mean()
        stretch = np.sqrt(n / (n - 1)) if n > 1 else 0.0
        means[:, i] = centre + stretch * (np.sort(array[drawn], axis=1).mean(axis=1) - centre)
    return np.asarray(on_front(costs, means.round(12)).mean(axis=0), dtype=np.float64)
