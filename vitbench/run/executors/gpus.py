"""Shares GPUs among trainings: as many on one GPU as their modelled memory allows. Nothing here touches a GPU.

The memory of a training is modelled from the memory record of its variant (``measure.peak_memory``): parameters,
gradients and optimizer state do not depend on the batch, the rest grows with it. The model leaves out the context of
CUDA and its libraries, the workspaces of kernels and the rounding of the caching allocator; ``CONTEXT`` and ``SAFETY``
stand for these. A training of unknown size gets a GPU of its own.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

from vitbench.records.record import Record
from vitbench.run.executors.protocol import Executor
from vitbench.run.executors.wrapper import ExecutorWrapper
from vitbench.run.planning.trial import Trial

SAFETY = 1.25
"""Factor on the modelled memory, for workspaces and the allocator's rounding (``docs/memory.md``: up to 17 %)."""

CONTEXT = {"cpu": 400 << 20, "cuda": 1 << 30}
"""Bytes of a process before its first tensor: torch's libraries, or the context of CUDA, cuDNN and cuBLAS."""

MAX_PER_GPU = 4
"""The largest number of trainings on one GPU; more would only wait for each other."""

FIXED = ("parameters", "gradients", "optimizer")
"""The parts of a peak that do not depend on the batch."""

VISIBLE = "CUDA_VISIBLE_DEVICES"


class Peak(NamedTuple):
    """Bytes at the peak of a step: a fixed part, and a part per image of the batch."""

    fixed: int
    per_image: float


Peaks: TypeAlias = dict[tuple[str, str], Peak]
"""By variant and step, ``training`` or ``inference``."""


def peaks_of(records: Iterable[Record]) -> Peaks:
    """The peaks in these memory records."""
    found: Peaks = {}
    for record in records:
        for step in ("training", "inference") if record.kind == "memory" and record.ok else ():
            parts = record.values[step]
            fixed = sum(parts[part] for part in FIXED)
            found[record.variant, step] = Peak(fixed, (parts["bytes"] - fixed) / record.values["batch_size"])
    return found


def modelled_bytes(trial: Trial, peaks: Peaks) -> int:
    """The modelled memory of a training, context included; 0 if it is unknown.

    Args:
        trial: the trial, with the teacher that it calls.
        peaks: the result of ``peaks_of``.
    """
    if not trial.trained:
        return 0
    (variant,) = trial.variants
    models = [(variant.name, "training")]
    if variant.train.teacher is not None:  # it is called in the same process
        if "teacher" not in trial.needs:
            return 0
        models.append((trial.needs["teacher"].variants[0].name, "inference"))
    if any(model not in peaks for model in models):
        return 0
    modelled = sum(peaks[model].fixed + peaks[model].per_image * variant.train.batch_size for model in models)
    return math.ceil(SAFETY * modelled) + CONTEXT[trial.device]


def gpu_share(need: int, gpu_bytes: Sequence[int]) -> float:
    """The fraction of a GPU to reserve, in steps of 1/10,000 of the smallest GPU; 1 if the need is unknown.

    Args:
        need: bytes; 0: unknown.
        gpu_bytes: the memory of each GPU.
    """
    if not need or not gpu_bytes:
        return 1.0
    return min(1.0, max(1 / MAX_PER_GPU, math.ceil(need / min(gpu_bytes) * 10_000) / 10_000))


def choose_gpu(need: int, gpu_bytes: Sequence[int], reserved: Sequence[Sequence[int]]) -> int | None:
    """The index of the GPU with the most free memory that has room for one more training; None if none has.

    An empty GPU has room for anything. An unknown need, 0, counts as a whole GPU.

    Args:
        need: bytes.
        gpu_bytes: the memory of each GPU.
        reserved: the needs of the trainings that run on each GPU.
    """
    free = [total - sum(_counted(one, total) for one in on) for total, on in zip(gpu_bytes, reserved, strict=True)]
    able = [i for i, on in enumerate(reserved) if len(on) < MAX_PER_GPU and _counted(need, gpu_bytes[i]) <= free[i]]
    return max(able, key=free.__getitem__, default=None)


def _counted(need: int, total: int) -> int:
    return min(need or total, total)


class GpuScheduler(ExecutorWrapper):
    """Starts jobs on the GPUs of this machine, each on a GPU with room for it; the others wait.

    Args:
        executor: the executor that runs the jobs; ``close`` leaves it open.
        gpu_bytes: the memory of each GPU that torch sees, in its order.
    """

    def __init__(self, executor: Executor, gpu_bytes: Sequence[int]) -> None:
        super().__init__(executor)
        self._gpu_bytes = tuple(gpu_bytes)
        names = [name for name in os.environ.get(VISIBLE, "").split(",") if name]
        self._names = names[: len(gpu_bytes)] or [str(number) for number in range(len(gpu_bytes))]

    @property
    def gpus(self) -> int:
        return len(self._gpu_bytes)

    def _start_waiting(self) -> None:
        for key, job in list(self._waiting.items()):
            env = dict(job.env)
            if job.gpus:
                running = [other for _, other in self._running.values() if other.gpus]
                reserved = [[o.memory_bytes for o in running if o.env[VISIBLE] == name] for name in self._names]
                gpu = choose_gpu(job.memory_bytes, self._gpu_bytes, reserved)
                if gpu is None:
                    continue
                env[VISIBLE] = self._names[gpu]
            self._start(key, dataclasses.replace(job, env=env))
