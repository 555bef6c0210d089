"""``Observer``: the events of a sweep. The terminal view, ``progress.json`` and TensorBoard files are observers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vitbench.records.record import Record
from vitbench.run.planning.trial import Trial

if TYPE_CHECKING:
    from vitbench.run.planning.lazy_trials import Blocks
    from vitbench.run.planning.plan import Plan


@dataclass(frozen=True)
class Progress:
    """How far a sweep is.

    Attributes:
        done: trials of this sweep that have ended, with a result or without.
        total: trials of this sweep.
        failed: measurements of this sweep that failed; their records give the reasons.
        running: the trials that are running.
        remaining_s: estimated seconds until the sweep ends.
        waiting_s: the part of it for trials that have not started.
    """

    done: int
    total: int
    failed: int
    running: tuple[Trial, ...]
    remaining_s: float
    waiting_s: float = 0.0


class Observer:
    """Receives the events of a sweep; override the ones that matter.

    Events arrive between trials, never while a session is being timed. From ``started`` to ``finished`` of a trial
    with ``alone`` set, an observer must not do anything: the timing would show it.
    """

    def planned(self, plan: Plan) -> None:
        """The plan is ready; ``plan.reused`` has the trials that were recorded before."""

    def tuned(self, left: Blocks, reused: Blocks, failures: Sequence[Record]) -> None:
        """The tuning has ended: the accuracy trials under tuned recipes are known.

        Args:
            left: trials to run.
            reused: trials that were recorded before.
            failures: records of the reused trials that failed.
        """

    def started(self, trial: Trial) -> None:
        """A trial starts."""

    def finished(self, trial: Trial, records: list[Record]) -> None:
        """A trial has ended, and these records of it are on the disk."""

    def progress(self, progress: Progress) -> None:
        """A trial has started or ended; follows ``started`` and ``finished``."""

    def note(self, text: str) -> None:
        """A message for the user: a repaired file, a variant that is left out of a timing session."""


class Observers(Observer):
    """Passes every event to several observers, in order."""

    def __init__(self, *observers: Observer) -> None:
        self.observers = observers

    def planned(self, plan: Plan) -> None:
        for observer in self.observers:
            observer.planned(plan)

    def tuned(self, left: Blocks, reused: Blocks, failures: Sequence[Record]) -> None:
        for observer in self.observers:
            observer.tuned(left, reused, failures)

    def started(self, trial: Trial) -> None:
        for observer in self.observers:
            observer.started(trial)

    def finished(self, trial: Trial, records: list[Record]) -> None:
        for observer in self.observers:
            observer.finished(trial, records)

    def progress(self, progress: Progress) -> None:
        for observer in self.observers:
            observer.progress(progress)

    def note(self, text: str) -> None:
        for observer in self.observers:
            observer.note(text)
