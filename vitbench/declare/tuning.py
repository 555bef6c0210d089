"""``Tuning``: how many tries over learning rate and weight decay each variant gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vitbench.declare.checked import Checked
from vitbench.utils.errors import ConfigError


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
