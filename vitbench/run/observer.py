"""Watching a run, and how long it will take still. Nothing is drawn here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vitbench.config import MeasureConfig
from vitbench.records import Record
from vitbench.run.trial import TRAINED, Kind, Trial

if TYPE_CHECKING:
    from vitbench.run.planning import Plan


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        done: trials that ended, well or badly, in this run.
        total: trials of this run.
        failed: what could not be measured in this run; records say why.
        running: what runs now.
        remaining_s: estimate of the seconds left, from MACs and what has been observed so far.
    """

    done: int
    total: int
    failed: int
    running: tuple[Trial, ...]
    remaining_s: float


class Observer:
    """Told what happens; override what matters. Called between trials, never while a session is being timed.

    Nothing may be drawn from ``started`` of a trial with ``alone`` set until its ``finished``: the timing would see it.
    """

    def planned(self, plan: Plan) -> None:
        """The plan stands; what was recorded before is in ``plan.reused``."""

    def started(self, trial: Trial) -> None:
        """A trial begins."""

    def finished(self, trial: Trial, records: list[Record]) -> None:
        """A trial ended, and these records of it are on the disk."""

    def progress(self, progress: Progress) -> None:
        """After every start and end."""

    def note(self, text: str) -> None:
        """Something that a reader should know: a repaired file, a variant left out of a timing."""


STEP_S, FLOP_PER_S = 4e-3, 3e10
"""What a small model's training step costs beside its arithmetic, and how fast one core does that: a first guess."""

SECONDS: Mapping[Kind, float] = {"cost": 0.3, "memory": 1.0, "ceiling": 4.0}
THROUGHPUT_S = 9.0


@dataclass
class Estimate:
    """Seconds that trials take: a guess from MACs, corrected by the trials of their kind that have ended.

    Args:
        macs: of each variant per image, by name; an unknown one counts as the mean of the others.
        num_train: images of the training split.
        jobs: trainings side by side.
    """

    num_train: int
    jobs: int
    macs: dict[str, int] = field(default_factory=dict)
    _guessed: dict[Kind, float] = field(default_factory=lambda: defaultdict(float))
    _took: dict[Kind, float] = field(default_factory=lambda: defaultdict(float))

    def _macs(self, name: str) -> float:
        known = self.macs or {"": 10_000_000}
        return known.get(name, sum(known.values()) / len(known))

    def guess(self, trial: Trial) -> float:
        """Seconds by arithmetic alone."""
        if trial.kind in SECONDS:
            return SECONDS[trial.kind]
        if trial.kind == "throughput":
            return THROUGHPUT_S * len(trial.variants)
        if trial.kind in TRAINED:
            variant = trial.variants[0]
            train, model = variant.train, variant.model
            images = variant.images(self.num_train, 1 if model is None else model.num_classes)
            seen = self.num_train if variant.data.same_steps else images
            steps = train.epochs * max(1, seen // train.batch_size)
            flops = 6 * self._macs(variant.name)
            flops += 2 * self._macs(trial.needs["teacher"].variants[0].name) if "teacher" in trial.needs else 0
            return steps * (STEP_S + flops * train.batch_size / FLOP_PER_S)
        step = trial.kind == "train_step"
        return sum(
            _calls(v.measure)
            * ((3 if step else 1) * (STEP_S / 4 + 2 * self._macs(v.name) * v.measure.batch_size / FLOP_PER_S))
            for v in (trial.variants[0], *trial.variants)  # the clone of the baseline takes part
        )

    def observe(self, trial: Trial, seconds: float) -> None:
        """A trial of this run ended, having taken so long."""
        self._guessed[_like(trial)] += self.guess(trial)
        self._took[_like(trial)] += seconds

    def seconds(self, trial: Trial) -> float:
        """The guess, corrected."""
        guessed = self._guessed[_like(trial)]
        return self.guess(trial) * (self._took[_like(trial)] / guessed if guessed else 1.0)

    def remaining(self, waiting: Iterable[Trial], running: Mapping[Trial, float] | None = None) -> float:
        """Wall-clock seconds for the trials that wait, and for those that have been running for so long."""
        side_by_side = alone = 0.0
        for trial, spent in [*((t, 0.0) for t in waiting), *(running or {}).items()]:
            left = max(0.0, self.seconds(trial) - spent)
            if trial.alone:
                alone += left
            else:
                side_by_side += left
        return alone + side_by_side / self.jobs


def _like(trial: Trial) -> Kind:
    """The kind whose observed times tell of this trial's: a tuning's try trains like any other."""
    return "accuracy" if trial.kind in TRAINED else trial.kind


def _calls(measure: MeasureConfig) -> int:
    return measure.blocks * (2 * measure.cycles + 1) + 10


def macs_of(records: Iterable[Record]) -> dict[str, Any]:
    """Variant → MACs per image, from cost records."""
    return {r.variant: r.values["macs"] for r in records if r.kind == "cost" and r.ok}
