"""Watching a run, and how long it will take still. Nothing is drawn here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vitbench.declare.measure import MeasureConfig
from vitbench.declare.quantities import find_quantity
from vitbench.records.record import Record
from vitbench.run.planning.lazy_trials import Blocks
from vitbench.run.planning.trial import Kind, Trial

if TYPE_CHECKING:
    from vitbench.run.planning.plan import Plan


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


class Observers(Observer):
    """Tells all of them, in order."""

    def __init__(self, *observers: Observer) -> None:
        self.observers = observers

    def planned(self, plan: Plan) -> None:
        for observer in self.observers:
            observer.planned(plan)

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


STEP_S, FLOP_PER_S = 4e-3, 3e10
"""What a small model's training step costs beside its arithmetic, and how fast one core does that: a first guess."""

UNKNOWN_MACS = 10_000_000


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
    _sum: int = 0
    _guessed: dict[Kind, float] = field(default_factory=lambda: defaultdict(float))
    _took: dict[Kind, float] = field(default_factory=lambda: defaultdict(float))

    def __post_init__(self) -> None:
        self._sum = sum(self.macs.values())

    def learn(self, macs: Mapping[str, int]) -> None:
        """MACs that were counted."""
        for name, number in macs.items():
            self._sum += number - self.macs.get(name, 0)
            self.macs[name] = number

    def _macs(self, name: str) -> float:
        if name in self.macs:
            return self.macs[name]
        return self._sum / len(self.macs) if self.macs else UNKNOWN_MACS

    def guess(self, trial: Trial) -> float:
        """Seconds by arithmetic alone."""
        takes = trial.quantity.takes
        if takes == "training":
            return self._training(trial)
        if isinstance(takes, str):
            passes = {"forward": 1, "train_step": 3}[takes]
            return sum(
                _calls(v.measure) * (passes * (STEP_S / 4 + 2 * self._macs(v.name) * v.measure.batch_size / FLOP_PER_S))
                for v in (trial.variants[0], *trial.variants)  # the clone of the baseline takes part
            )
        return takes * len(trial.variants)

    def _training(self, trial: Trial) -> float:
        variant = trial.variants[0]
        train, model = variant.train, variant.model
        images = variant.images(self.num_train, 1 if model is None else model.num_classes)
        seen = self.num_train if variant.data.same_steps else images
        steps = train.epochs * max(1, seen // train.batch_size)
        flops = 6 * self._macs(variant.name)
        flops += 2 * self._macs(trial.needs["teacher"].variants[0].name) if "teacher" in trial.needs else 0
        return steps * (STEP_S + flops * train.batch_size / FLOP_PER_S)

    def observe(self, trial: Trial, seconds: float) -> None:
        """A trial of this run ended, having taken so long."""
        self._guessed[_like(trial.kind)] += self.guess(trial)
        self._took[_like(trial.kind)] += seconds

    def seconds(self, trial: Trial) -> float:
        """The guess, corrected."""
        return self.guess(trial) * self._correction(trial.kind)

    def _correction(self, kind: Kind) -> float:
        guessed = self._guessed[_like(kind)]
        return self._took[_like(kind)] / guessed if guessed else 1.0

    def guesses(self, trials: Blocks) -> dict[Kind, float]:
        """Seconds by kind, by arithmetic alone."""
        found: dict[Kind, float] = defaultdict(float)
        known: dict[tuple[Kind, int], float] = {}
        for part in trials.parts:
            alike = part.kind, id(part.items)  # seeds do not differ
            if alike not in known:
                quantity = find_quantity(part.kind)
                constant = quantity.per != "session" and not isinstance(quantity.takes, str)
                known[alike] = len(part) * self.guess(part[0]) if constant else sum(map(self.guess, part))
            found[part.kind] += known[alike]
        return found

    def remaining(self, waiting: Mapping[Kind, float], running: Mapping[Trial, float] | None = None) -> float:
        """Wall-clock seconds for what waits, guessed so by kind, and for what has been running for so long."""
        kinds = [(kind, seconds * self._correction(kind)) for kind, seconds in waiting.items()]
        kinds += [(trial.kind, max(0.0, self.seconds(trial) - spent)) for trial, spent in (running or {}).items()]
        alone = sum(seconds for kind, seconds in kinds if find_quantity(kind).exclusive)
        side_by_side = sum(seconds for kind, seconds in kinds if not find_quantity(kind).exclusive)
        return alone + side_by_side / self.jobs


def _like(kind: Kind) -> Kind:
    """The kind whose observed times correct the guesses for this one: a tuning's try trains like any other."""
    return "accuracy" if find_quantity(kind).takes == "training" else kind


def _calls(measure: MeasureConfig) -> int:
    return measure.blocks * (2 * measure.cycles + 1) + 10


def macs_of(records: Iterable[Record]) -> dict[str, Any]:
    """Variant → MACs per image, from cost records."""
    return {r.variant: r.values["macs"] for r in records if r.kind == "cost" and r.ok}
