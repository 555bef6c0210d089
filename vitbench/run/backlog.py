"""What waits in a sweep, as numbers: kept up to date at each start without looking at the others. No torch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TypeAlias

from vitbench.run.planning.lazy_trials import Blocks
from vitbench.run.planning.trial import Kind, Recipe, Trial
from vitbench.run.progress.estimate import Estimate

Sort: TypeAlias = tuple[Kind, Recipe]


class Backlog:
    """How many trials wait, and how many seconds they are guessed to take.

    Args:
        trials: that wait.
        estimate: that guesses.
    """

    def __init__(self, trials: Blocks, estimate: Estimate) -> None:
        self._estimate = estimate
        self._numbers: dict[Sort, int] = defaultdict(int)
        self._guessed: dict[Sort, float] = defaultdict(float)
        self._untouched: dict[Sort, Blocks] = {}
        self._known = 0  # MACs, when guesses were last made
        self.put(trials)

    def __len__(self) -> int:
        return sum(self._numbers.values())

    @property
    def guessed(self) -> Mapping[Kind, float]:
        """Seconds by kind, uncorrected by what was observed."""
        found: dict[Kind, float] = defaultdict(float)
        for (kind, _), seconds in self._guessed.items():
            found[kind] += seconds
        return found

    def put(self, trials: Blocks) -> None:
        """These wait now, in the place of all of their sort that did."""
        for sort in {(part.kind, part.recipe) for part in trials.parts}:
            kind, recipe = sort
            self._untouched[sort] = trials.of(kind, recipe=recipe)
            self._numbers[sort] = len(self._untouched[sort])
        self.guess_again()

    def drop(self, kind: Kind, recipe: Recipe) -> None:
        """None of these wait any more."""
        for numbers in (self._numbers, self._guessed, self._untouched):
            numbers.pop((kind, recipe), None)

    def take(self, trial: Trial) -> None:
        """It waits no more."""
        sort = trial.kind, trial.recipe
        self._untouched.pop(sort, None)
        self._numbers[sort] -= 1
        self._guessed[sort] -= self._estimate.guess(trial)
        if not self._numbers[sort]:
            self._guessed[sort] = 0.0  # and not what rounding left

    def learn(self, macs: Mapping[str, int]) -> None:
        """MACs that were counted; guesses are made again when twice as many are known, so that few are."""
        self._estimate.learn(macs)
        if len(self._estimate.macs) > 2 * self._known:
            self.guess_again()

    def guess_again(self) -> None:
        """The guesses for sorts of which none has begun, by the MACs that are known now."""
        self._known = len(self._estimate.macs)
        for sort, trials in self._untouched.items():
            self._guessed[sort] = sum(self._estimate.guesses(trials).values())
