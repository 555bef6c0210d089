"""Which models no other one beats in both cost and accuracy, and how sure that is with so few seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vitbench.stats.estimates import FloatArray


def on_front(costs: ArrayLike, accuracies: ArrayLike) -> NDArray[np.bool_]:
    """Whether a model lies on the Pareto front: none costs at most as much and is at least as accurate, one strictly.

    Args:
        costs: (models,), lower is better.
        accuracies: (…, models), higher is better; leading axes are separate worlds.

    Returns:
        (…, models).
    """
    cost, accuracy = np.asarray(costs, dtype=np.float64), np.asarray(accuracies, dtype=np.float64)
    if cost.ndim != 1 or accuracy.shape[-1:] != cost.shape or not (np.isfinite(cost).all() and cost.size):
        raise ValueError(f"takes a finite cost a model, got {cost.shape} for accuracies {accuracy.shape}")
    kept = np.zeros(accuracy.shape, dtype=np.bool_)
    best = np.full(accuracy.shape[:-1], -np.inf)  # among all that cost less
    for price in np.unique(cost):
        group = np.flatnonzero(cost == price)
        own = accuracy[..., group].max(axis=-1)
        kept[..., group] = (accuracy[..., group] == own[..., None]) & (own > best)[..., None]
        best = np.maximum(best, own)
    return kept


def front_probability(
    costs: ArrayLike, accuracy_by_seed: Sequence[ArrayLike], *, draws: int = 10_000, seed: int = 0
) -> FloatArray:
    """How often each model lies on the Pareto front when its seeds are drawn anew.

    A bootstrap over seeds. Models with the same number of seeds are drawn together, a seed for all of them, since equal
    seeds share weights and data order; otherwise each on its own. A mean's deviation is stretched by √(n/(n−1)), so
    that its spread is that of a mean of n and not of the smaller one inside n numbers. Costs are taken as they are.

    Args:
        costs: (models,), lower is better.
        accuracy_by_seed: for each model its accuracies, shape (seeds,); one seed has no spread.
        draws: how often.
        seed: of the draws.

    Returns:
        (models,): fractions of the draws. Several models are on a front at once, so they do not add up to 1.

    Raises:
        ValueError: a model without a seed, or not as many costs as models.
    """
    arrays = [np.asarray(accuracies, dtype=np.float64) for accuracies in accuracy_by_seed]
    if any(a.ndim != 1 or not a.size or not np.isfinite(a).all() for a in arrays) or not arrays:
        raise ValueError("takes at least one model, each with the accuracy of one seed or more")
    rng = np.random.default_rng(seed)
    together = len({a.size for a in arrays}) == 1
    shared = rng.integers(arrays[0].size, size=(draws, arrays[0].size)) if together else None
    means = np.empty((draws, len(arrays)))
    for i, array in enumerate(arrays):
        n = array.size
        drawn = shared if shared is not None else rng.integers(n, size=(draws, n))
        # sorted, so that the same draw always has the same sum and a tie stays a tie
        centre = np.sort(array).mean()
        stretch = np.sqrt(n / (n - 1)) if n > 1 else 0.0
        means[:, i] = centre + stretch * (np.sort(array[drawn], axis=1).mean(axis=1) - centre)
    return np.asarray(on_front(costs, means.round(12)).mean(axis=0), dtype=np.float64)
