"""Estimates the remaining time of a sweep, from MACs and from the trials that have ended."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vitbench.declare.measure import MeasureConfig
from vitbench.declare.quantities import find_quantity
from vitbench.records.record import Record
from vitbench.run.planning.lazy_trials import Blocks
from vitbench.run.planning.trial import Kind, Trial

STEP_S, FLOP_PER_S = 4e-3, 3e10
"""First guesses: seconds of a training step beyond its arithmetic, and the arithmetic rate of one core."""

UNKNOWN_MACS = 10_000_000


@dataclass
class Estimate:
    """Estimates how long trials take: a guess from MACs, scaled by the durations of earlier trials of that kind.

    Args:
        num_train: images in the training split.
        jobs: number of trainings that run in parallel.
        macs: MACs per image by variant name; a variant without an entry gets the mean of the others.
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
        """Adds MACs that have been counted."""
        for name, number in macs.items():
            self._sum += number - self.macs.get(name, 0)
            self.macs[name] = number

    def _macs(self, name: str) -> float:
        if name in self.macs:
            return self.macs[name]
        return self._sum / len(self.macs) if self.macs else UNKNOWN_MACS

    def guess(self, trial: Trial) -> float:
        """Seconds from MACs alone."""
        takes = trial.quantity.takes
        if takes == "training":
            return self._training(trial)
        if isinstance(takes, str):
            passes = {"forward": 1, "train_step": 3}[takes]
            return sum(
                _calls(v.measure) * (passes * (STEP_S / 4 + 2 * self._macs(v.name) * v.measure.batch_size / FLOP_PER_S))
                for v in (trial.variants[0], *trial.variants)  # the A/A control is timed too
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
        """Adds the duration of a trial that has ended."""
        self._guessed[_like(trial.kind)] += self.guess(trial)
        self._took[_like(trial.kind)] += seconds

    def seconds(self, trial: Trial) -> float:
        """Seconds from MACs, scaled by the observed durations."""
        return self.guess(trial) * self._correction(trial.kind)

    def _correction(self, kind: Kind) -> float:
        guessed = self._guessed[_like(kind)]
        return self._took[_like(kind)] / guessed if guessed else 1.0

    def guesses(self, trials: Blocks) -> dict[Kind, float]:
        """Seconds by kind, from MACs alone."""
        found: dict[Kind, float] = defaultdict(float)
        known: dict[tuple[Kind, int], float] = {}
        for part in trials.parts:
            alike = part.kind, id(part.items)  # blocks that differ only in the seed take equally long
            if alike not in known:
                quantity = find_quantity(part.kind)
                constant = quantity.per != "session" and not isinstance(quantity.takes, str)
                known[alike] = len(part) * self.guess(part[0]) if constant else sum(map(self.guess, part))
            found[part.kind] += known[alike]
        return found

    def remaining(self, waiting: Mapping[Kind, float], running: Mapping[Trial, float] | None = None) -> float:
        """Wall-clock seconds until the sweep ends.

        Args:
            waiting: guessed seconds of the trials that have not started, by kind.
            running: seconds since each running trial started.
        """
        kinds = [(kind, seconds * self._correction(kind)) for kind, seconds in waiting.items()]
        kinds += [(trial.kind, max(0.0, self.seconds(trial) - spent)) for trial, spent in (running or {}).items()]
        alone = sum(seconds for kind, seconds in kinds if find_quantity(kind).exclusive)
        side_by_side = sum(seconds for kind, seconds in kinds if not find_quantity(kind).exclusive)
        return alone + side_by_side / self.jobs


def _like(kind: Kind) -> Kind:
    """The kind whose observed durations apply: a tuning trial takes as long as any training."""
    return "accuracy" if find_quantity(kind).takes == "training" else kind


def _calls(measure: MeasureConfig) -> int:
    return measure.blocks * (2 * measure.cycles + 1) + 10


def macs_of(records: Iterable[Record]) -> dict[str, Any]:
    """MACs per image by variant, from cost records."""
    return {r.variant: r.values["macs"] for r in records if r.kind == "cost" and r.ok}
