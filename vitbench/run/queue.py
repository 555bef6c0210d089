"""What waits in a phase of a sweep, in order; each trial is made when its turn comes. No torch."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator

from vitbench.run.planning.lazy_trials import Blocks
from vitbench.run.planning.trial import Trial


def in_order(trials: Blocks, guess: Callable[[Trial], float]) -> Iterator[Trial]:
    """Seed by seed; what others need first, then the longest first, or it would end alone.

    Args:
        trials: of trainings.
        guess: seconds that one takes.
    """
    for own in trials.by_seed():
        ranks = [(_depth(trial), -guess(trial)) for trial in own]
        yield from (own[i] for i in sorted(range(len(own)), key=ranks.__getitem__))


def _depth(trial: Trial) -> int:
    """How many trials must come before it, one after another."""
    return max((1 + _depth(needed) for needed in trial.needs.values()), default=0)


class Queue:
    """Trials in their order. One that waits for another one's model lets others pass, until that one has ended.

    Args:
        trials: in order; what others need stands before them.
        needed: the ids of the trials whose models others need.
        there: whether the model that a trial leaves is there.
    """

    def __init__(self, trials: Iterable[Trial], needed: Collection[str], there: Callable[[Trial], bool]) -> None:
        self._coming = iter(trials)
        self._needed, self._there = needed, there
        self._open: set[str] = set()  # of the needed, those that have come and not ended
        self._held: dict[str, list[Trial]] = defaultdict(list)  # behind the one that they wait for
        self._released: deque[Trial] = deque()

    def take(self) -> Trial | None:
        """The first trial for which nothing is left to wait; None where there is none now."""
        while True:
            if self._released:
                trial = self._released.popleft()
            elif (coming := next(self._coming, None)) is not None:
                trial = coming
                if self._needed and trial.only_id in self._needed:
                    self._open.add(trial.only_id)
            else:
                return None
            missing = [needed.only_id for needed in trial.needs.values() if not self._there(needed)]
            if not missing or not self._open.issuperset(missing):
                return trial
            self._held[missing[0]].append(trial)

    def lost(self, trial: Trial) -> tuple[str, Trial] | None:
        """What a trial that was taken needs and will never get, behind its role."""
        wanting = ((role, needed) for role, needed in trial.needs.items() if not self._there(needed))
        return next(((role, needed) for role, needed in wanting if needed.only_id not in self._open), None)

    def ended(self, trial: Trial) -> None:
        """The trial has ended: its model is there, or will never be."""
        if self._needed:
            self._open.discard(trial.only_id)
            self._released += self._held.pop(trial.only_id, ())
