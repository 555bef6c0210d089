"""Trials that wait to run: their order, what they wait for, and how long they will take. No torch."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TypeAlias

from vitbench.run.planning.lazy_trials import Blocks
from vitbench.run.planning.trial import Kind, Recipe, Trial
from vitbench.run.progress.estimate import Estimate


def in_order(trials: Blocks, guess: Callable[[Trial], float]) -> Iterator[Trial]:
    """The trials seed by seed: trials that others need first, then the longest first, so that none ends alone.

    Args:
        trials: trainings.
        guess: estimates the seconds of a trial.
    """
    for own in trials.by_seed():
        ranks = [(_depth(trial), -guess(trial)) for trial in own]
        yield from (own[i] for i in sorted(range(len(own)), key=ranks.__getitem__))


def _depth(trial: Trial) -> int:
    """The number of trials that must precede it in a row."""
    return max((1 + _depth(needed) for needed in trial.needs.values()), default=0)


class TrialQueue:
    """Trials in order. A trial that needs the model of another one lets others pass until that one has ended.

    Args:
        trials: the trials in order, needed ones before the trials that need them.
        needed: the ids of the trials whose models others need.
        has_model: whether the model of a trial exists.
    """

    def __init__(self, trials: Iterable[Trial], needed: Collection[str], has_model: Callable[[Trial], bool]) -> None:
        self._next = iter(trials)
        self._needed, self._has_model = needed, has_model
        self._open: set[str] = set()  # needed trials that were taken or held back, and have not ended
        self._held: dict[str, list[Trial]] = defaultdict(list)  # by the id of the trial that they wait for
        self._released: deque[Trial] = deque()

    def take(self) -> Trial | None:
        """The first trial that need not wait; None if there is none now."""
        while True:
            if self._released:
                trial = self._released.popleft()
            elif (following := next(self._next, None)) is not None:
                trial = following
                if self._needed and trial.only_id in self._needed:
                    self._open.add(trial.only_id)
            else:
                return None
            missing = [needed.only_id for needed in trial.needs.values() if not self._has_model(needed)]
            if not missing or not self._open.issuperset(missing):
                return trial
            self._held[missing[0]].append(trial)

    def unmet_need(self, trial: Trial) -> tuple[str, Trial] | None:
        """The role and trial of a model that a taken trial needs and that will never exist."""
        missing = ((role, needed) for role, needed in trial.needs.items() if not self._has_model(needed))
        return next(((role, needed) for role, needed in missing if needed.only_id not in self._open), None)

    def ended(self, trial: Trial) -> None:
        """Notes that the trial has ended: its model exists, or never will."""
        if self._needed:
            self._open.discard(trial.only_id)
            self._released += self._held.pop(trial.only_id, ())


Group: TypeAlias = tuple[Kind, Recipe]


class RemainingWork:
    """The number of trials that have not started, and their estimated seconds, updated at each start in constant time.

    Args:
        trials: the trials to run.
        estimate: estimates their seconds.
    """

    def __init__(self, trials: Blocks, estimate: Estimate) -> None:
        self._estimate = estimate
        self._counts: dict[Group, int] = {}
        self._seconds: dict[Group, float] = {}
        self._untouched: dict[Group, Blocks] = {}  # groups of which no trial has started
        self._known_macs = 0  # when the seconds were last estimated
        self.put(trials)

    def __len__(self) -> int:
        return sum(self._counts.values())

    @property
    def seconds(self) -> Mapping[Kind, float]:
        """Estimated seconds by kind, before the correction by observed times."""
        found: dict[Kind, float] = defaultdict(float)
        for (kind, _), seconds in self._seconds.items():
            found[kind] += seconds
        return found

    def put(self, trials: Blocks) -> None:
        """Replaces the trials of each group that these belong to."""
        for group in {(part.kind, part.recipe) for part in trials.parts}:
            kind, recipe = group
            self._untouched[group] = trials.of(kind, recipe=recipe)
            self._counts[group] = len(self._untouched[group])
        self.update_estimates()

    def drop(self, kind: Kind, recipe: Recipe) -> None:
        """Removes all trials of a group."""
        for by_group in (self._counts, self._seconds, self._untouched):
            by_group.pop((kind, recipe), None)

    def start(self, trial: Trial) -> None:
        """Removes one trial."""
        group = trial.kind, trial.recipe
        self._untouched.pop(group, None)
        self._counts[group] -= 1
        remaining = self._seconds[group] - self._estimate.guess(trial)
        self._seconds[group] = remaining if self._counts[group] else 0.0  # without the rounding error

    def learn(self, macs: Mapping[str, int]) -> None:
        """Notes counted MACs; the estimates are made again each time their number has doubled."""
        self._estimate.learn(macs)
        if len(self._estimate.macs) > 2 * self._known_macs:
            self.update_estimates()

    def update_estimates(self) -> None:
        """Estimates untouched groups from the MACs that are known now."""
        self._known_macs = len(self._estimate.macs)
        for group, trials in self._untouched.items():
            self._seconds[group] = sum(self._estimate.guesses(trials).values())
