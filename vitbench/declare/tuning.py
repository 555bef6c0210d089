"""``Tuning``: how many tries over learning rate and weight decay each variant gets, and which values they try."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from vitbench.declare.checked import Checked
from vitbench.utils.errors import ConfigError

FIRST_SEED = 1_000_000
"""Tries use seeds from here on, so that no try wins by the luck of a seed that the accuracies use."""

STEPS = 0.7548776662466927, 0.5698402909980532
"""Steps of an additive recurrence, powers of the plastic number (Roberts 2018): any first n points spread evenly."""


@dataclass(frozen=True, kw_only=True)
class Tuning(Checked):
    """The same number of tries over learning rate and weight decay for all, judged on the validation split.

    The first try is the recipe's own values; the others are log-uniform within the bounds and the same for all. Every
    variant is then trained under its best try, and under the shared recipe.
    """

    tries: int
    lr: tuple[float, float] = (2e-4, 2e-2)  # lowest, highest
    weight_decay: tuple[float, float] = (1e-3, 0.5)
    seeds: int = 1  # seeds of each try, none of which is a seed of the results
    per: Literal["family", "variant"] = (
        "family"  # family: the first variant of a family is tuned, and all use its best try,
    )
    # which favours the baseline along an axis of the model; variant: tune each one

    def _check(self) -> None:
        self._at_least(1, "tries", "seeds")
        for name in ("lr", "weight_decay"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ConfigError(f"{name}={(low, high)} is not a range: it takes (low, high), both above 0")


def points(tuning: Tuning, own: tuple[float, float]) -> list[tuple[float, float]]:
    """Learning rate and weight decay of every try: ``own`` first, then log-uniform ones, the same for all variants.

    The first n points do not depend on how many follow, so that more tries keep the earlier ones.
    """
    drawn = random.Random(0)
    start = drawn.random(), drawn.random()
    found = [own]
    for number in range(1, tuning.tries):
        shares = [(s + number * step) % 1 for s, step in zip(start, STEPS, strict=True)]
        bounds = (tuning.lr, tuning.weight_decay)
        lr, decay = (low * (high / low) ** share for (low, high), share in zip(bounds, shares, strict=True))
        found.append((float(f"{lr:.3g}"), float(f"{decay:.3g}")))
    return found
