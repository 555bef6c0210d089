"""``DataConfig``: how much of a training split a trial sees, and at which resolution."""

from __future__ import annotations

from dataclasses import dataclass

from vitbench.declare.checked import Checked
from vitbench.utils.errors import ConfigError, ImpossibleConfigError


@dataclass(frozen=True, kw_only=True)
class DataConfig(Checked):
    """The part of the training split that a trial sees, and the resolution. Validation and test stay whole.

    The trial's seed draws the images of each class; for one seed, a smaller subset lies inside a larger one.
    """

    fraction: float = 1.0  # of every class
    per_class: int | None = None  # images of every class; None: `fraction` decides
    same_steps: bool = False  # take as many steps as on the whole split, so that fewer images are seen more often
    scale: float = 1.0  # of the side of every image, in all splits; models are adapted to the result

    def _check(self) -> None:
        if not 0 < self.fraction <= 1:
            raise ConfigError(f"fraction={self.fraction!r} is not a fraction: it takes more than 0, up to 1")
        self._above(0, "scale")
        if self.per_class is not None:
            self._at_least(1, "per_class")
            if self.fraction != 1:
                raise ImpossibleConfigError(
                    f"per_class={self.per_class} and fraction={self.fraction} contradict each other: leave one out"
                )
