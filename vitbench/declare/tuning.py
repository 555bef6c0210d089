"""``Tuning``: how many tries over learning rate and weight decay each variant gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vitbench.declare.checked import Checked
from vitbench.utils.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Tuning(Checked):
    """The same number of tries over learning rate and weight decay for everyone, judged on the validation split.

    The recipe's own values are the first try; the others are log-uniform within the bounds, and the same for all.
    Afterwards every variant is trained under its winner too, beside the recipe that all share.
    """

    tries: int
    lr: tuple[float, float] = (2e-4, 2e-2)  # lowest, highest
    weight_decay: tuple[float, float] = (1e-3, 0.5)
    seeds: int = 1  # trainings of each try; none of them is a seed that counts
    per: Literal["family", "variant"] = "family"  # family: its first variant is tried, and its winner serves them all;
    # along an axis of the model that favours the baseline: take variant, which costs as many tries for each

    def _check(self) -> None:
        self._at_least(1, "tries", "seeds")
        for name in ("lr", "weight_decay"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ConfigError(f"{name}={(low, high)} is no range: it takes (low, high), both above 0")
