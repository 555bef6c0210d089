"""GPUs that trainings share: as many on one as their modelled memory leaves room for. Nothing here touches a GPU.

A training is modelled from the memory record of its variant (``measure.peak_memory``), whose parameters, gradients and
optimiser state do not depend on the batch, while the rest grows with it. The model leaves out the context that CUDA and
its libraries hold, kernels' workspaces and what the caching allocator rounds up; ``CONTEXT`` and ``SAFETY`` stand for
them. What is not known to fit beside others has a card to itself.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

from vitbench.records.record import Record
from vitbench.run.executors.job import Job, Result
from vitbench.run.executors.protocol import Executor
from vitbench.run.planning.trial import Trial

SAFETY = 1.25
"""Times what is modelled: workspaces and the allocator's rounding (``docs/memory.md``: up to 17 %)."""

CONTEXT = {"cpu": 400 << 20, "cuda": 1 << 30}
"""Bytes that a process has before its first tensor: torch's libraries, or CUDA's context, cuDNN and cuBLAS."""

MOST = 4
"""Trainings on one card: they take turns on it, and more of them only wait for each other."""

HELD = ("parameters", "gradients", "optimizer")
"""Parts of a peak that do not depend on the batch."""

VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, slots=True)
class Peak:
    """Bytes at the peak of a step: whatever the batch, and for each image of it."""

    held: int
    per_image: float


Peaks: TypeAlias = dict[tuple[str, str], Peak]
"""By variant and step, ``training`` or ``inference``."""


def peaks_of(records: Iterable[Record]) -> Peaks:
    """The peaks that memory records hold; one of an earlier version may lack some part."""
    return {
        (record.variant, step): _peak(record.values[step], record.values["batch_size"])
        for record in records
        if record.kind == "memory" and record.ok
        for step in ("training", "inference")
        if {"bytes", *HELD} <= record.values.get(step, {}).keys()
    }


def _peak(parts: Mapping[str, int], batch_size: int) -> Peak:
    held = sum(parts[part] for part in HELD)
    return Peak(held, (parts["bytes"] - held) / batch_size)


def modelled_bytes(trial: Trial, peaks: Peaks) -> int:
    """What a training is modelled to need, context included; 0 where that is not known.

    Args:
        trial: that trains, with the teacher that it has.
        peaks: as ``peaks_of`` gives them.
    """
    if not trial.trained:
        return 0
    (variant,) = trial.variants
    models = [(variant.name, "training")]
    if variant.train.teacher is not None:  # it is called, in the same process
        if "teacher" not in trial.needs:
            return 0
        models.append((trial.needs["teacher"].variants[0].name, "inference"))
    if any(model not in peaks for model in models):
        return 0
    modelled = sum(peaks[model].held + peaks[model].per_image * variant.train.batch_size for model in models)
    return math.ceil(SAFETY * modelled) + CONTEXT[trial.device]


def share(need: int, cards: Sequence[int]) -> float:
    """The part of a card that is asked of Ray, in steps of 1/10,000, the smallest card being the measure.

    Args:
        need: bytes; 0: not known, which takes a whole one.
        cards: bytes of each.
    """
    if not need or not cards:
        return 1.0
    return min(1.0, max(1 / MOST, math.ceil(need / min(cards) * 10_000) / 10_000))


def fitting(need: int, cards: Sequence[int], held: Sequence[Sequence[int]]) -> int | None:
    """The card for one more training: of those with room for it the one with the most; None where there is none.

    An empty card has room for anything. What is not known, 0, counts as a whole card.

    Args:
        need: bytes.
        cards: bytes of each.
        held: what runs on each, in bytes as they were asked for.
    """
    free = [card - sum(_taken(one, card) for one in on) for card, on in zip(cards, held, strict=True)]
    able = [i for i, on in enumerate(held) if len(on) < MOST and _taken(need, cards[i]) <= free[i]]
    return max(able, key=free.__getitem__, default=None)


def _taken(need: int, card: int) -> int:
    return min(need or card, card)


class OnCards:
    """Starts jobs on this machine's GPUs, each on one that has room for it; those that find none wait their turn.

    Args:
        executor: that runs them; it is not closed with this one.
        cards: bytes of each GPU that torch sees, in its order.
    """

    def __init__(self, executor: Executor, cards: Sequence[int]) -> None:
        self._executor, self._cards = executor, tuple(cards)
        names = [name for name in os.environ.get(VISIBLE, "").split(",") if name]
        self._names = names[: len(cards)] or [str(number) for number in range(len(cards))]
        self._held: list[dict[int, int]] = [{} for _ in cards]  # by card: key → bytes
        self._waiting: dict[int, Job] = {}
        self._running: dict[int, int] = {}  # the executor's key → ours
        self._next = 0

    @property
    def cores(self) -> int:
        return self._executor.cores

    @property
    def gpus(self) -> int:
        return len(self._cards)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._running)

    def submit(self, job: Job) -> int:
        """Starts the job, at once or when a card has room for it."""
        key, self._next = self._next, self._next + 1
        self._waiting[key] = job
        self._begin()
        return key

    def wait(self, timeout: float | None = None, also: Sequence[int] = ()) -> list[tuple[int, Result]]:
        """As the executor's."""
        ended = [(self._running.pop(theirs), result) for theirs, result in self._executor.wait(timeout, also)]
        for key, _ in ended:
            for on in self._held:
                on.pop(key, None)
        self._begin()
        return ended

    def cancel(self) -> None:
        """Ends every job; nobody hears of their results."""
        self._waiting.clear()
        self._executor.cancel()
        self._running.clear()
        for on in self._held:
            on.clear()

    def close(self) -> None:
        """As ``cancel``: the executor stays."""
        self.cancel()

    def _begin(self) -> None:
        """Starts what has a place, in the order in which it came."""
        for key, job in list(self._waiting.items()):
            env = dict(job.env)
            if job.gpus:
                card = fitting(job.memory_bytes, self._cards, [list(on.values()) for on in self._held])
                if card is None:
                    continue
                self._held[card][key] = job.memory_bytes
                env[VISIBLE] = self._names[card]
            del self._waiting[key]
            self._running[self._executor.submit(dataclasses.replace(job, env=env))] = key
