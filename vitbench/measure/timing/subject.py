"""What is timed: a model and its input, placed afresh in memory, as a call without arguments."""

from __future__ import annotations

import contextlib
import copy
import functools
import gc
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from vitbench.declare.measure import Placement
from vitbench.devices import Device, device_of
from vitbench.measure.timing.compiled import Compiled
from vitbench.measure.timing.train_step import Step, UntrainableError
from vitbench.utils.errors import UserError

Mode: TypeAlias = Literal["forward", "train_step"]
Call: TypeAlias = Callable[[], Any]
Pool: TypeAlias = defaultdict[tuple[Any, ...], list[Tensor]]


class SubjectError(UserError):
    """A subject that cannot be timed: it raised, or put out NaN. ``__cause__`` is what it raised, if it did."""

    def __init__(self, subject: str, reason: str) -> None:
        super().__init__(f"{subject} cannot be timed: {reason}")
        self.subject = subject
        self.reason = reason


@dataclass(frozen=True)
class Subject:
    """A model, or any callable of one argument, with the input it is timed on.

    Neither is touched: what runs is a deep copy, in evaluation mode for ``forward``, in training mode for
    ``train_step``. Batch sizes and dtypes may differ between subjects. What a plain function closes over is not
    copied, so its placement is not redrawn: hand over a module or an object where there is one.

    With ``compile``, all copies run the same compiled code: what differs between placements is where their tensors lie.
    """

    model: nn.Module | Callable[[Any], Any]
    example: Any  # (batch, …) where it is a tensor
    device: torch.device | str = "cpu"
    compile: bool = False

    @functools.cached_property
    def compiled(self) -> Compiled:
        """The compiled call of any copy of the model."""
        return Compiled(torch.device(self.device).type)

    @property
    def batch_size(self) -> int:
        """Images a call; 1 where the input is no tensor."""
        return len(self.example) if isinstance(self.example, Tensor) and self.example.ndim else 1

    def announce(self) -> None:
        """Told before the first call of each placement and before each sample; a worker says here whose turn it is."""

    @functools.cached_property
    def asynchronous(self) -> bool:
        """Whether a call returns before the device has done it."""
        return self._place.is_asynchronous

    @functools.cached_property
    def _place(self) -> Device:
        return device_of(self.device)

    def synchronize(self) -> None:
        """Waits until the device has done what it was told."""
        if self.asynchronous:
            self._place.synchronize()


def _is_finite(output: Any) -> bool:
    if isinstance(output, Tensor):
        return bool(torch.isfinite(output).all())
    if isinstance(output, Mapping):
        return all(map(_is_finite, output.values()))
    if isinstance(output, (tuple, list)):
        return all(map(_is_finite, output))
    return not isinstance(output, float) or bool(np.isfinite(output))


def form(output: Any) -> Any:
    """Shapes of the tensors in an output, and how they are nested; None for anything else."""
    if isinstance(output, Tensor):
        return tuple(output.shape)
    if isinstance(output, Mapping):
        return {key: form(value) for key, value in output.items()}
    if isinstance(output, (tuple, list)):
        return [form(value) for value in output]
    return None


@contextlib.contextmanager
def blame(name: str) -> Iterator[None]:
    """Whatever is raised inside is the subject's doing, and says so."""
    try:
        yield
    except SubjectError:
        raise
    except UntrainableError as error:
        raise SubjectError(name, str(error)) from error
    except Exception as error:
        raise SubjectError(name, f"{type(error).__name__}: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """The first line of what an error says, and the next where it ends in a colon."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[: 2 if lines and lines[0].endswith(":") else 1])


def check(name: str, call: Call) -> None:
    """One untimed call, whose output must be finite.

    Raises:
        SubjectError: it raised, or put out NaN or infinity.
    """
    with blame(name):
        check_output(name, call())


def check_output(name: str, output: Any) -> None:
    """Raises SubjectError where the output holds NaN or infinity."""
    if not _is_finite(output):
        raise SubjectError(name, "its output holds NaN or infinity")


def check_form(name: str, output: Any, expected: Any) -> None:
    """Raises SubjectError where the output is not of the form that the subject's first one had."""
    if (found := form(output)) != expected:
        raise SubjectError(name, f"its output changed from {expected} to {found}")


def place(
    name: str,
    subject: Subject,
    mode: Mode,
    seed: int,
    *,
    timer: Callable[[], float] = time.perf_counter,
    pool: Pool | None = None,
) -> Call:
    """A call of a fresh deep copy, in memory of its own, or with its parameters in the pool's where shapes agree.

    Raises:
        SubjectError: the model cannot be copied, or has nothing to train.
    """
    with blame(name), torch.inference_mode(mode=False):  # compiled code would take inference tensors for another case
        model, example = copy.deepcopy((subject.model, subject.example))
        if isinstance(model, nn.Module):
            model = model.to(subject.device).train(mode == "train_step")
            if pool is not None:
                _share(model, pool)
        if isinstance(example, Tensor):
            example = example.to(subject.device)
        module = model
        if subject.compile:
            model = _Bound(subject.compiled, model)
        return Step(model, module, example, seed, timer) if mode == "train_step" else lambda: model(example)


def _share(module: nn.Module, pool: Pool) -> None:
    """Moves the module's parameters into the memory of those placed before it; what is new joins the pool."""
    taken: dict[tuple[Any, ...], int] = defaultdict(int)
    for parameter in module.parameters():
        key = (parameter.shape, parameter.stride(), parameter.dtype, parameter.device)
        if taken[key] < len(pool[key]):
            parameter.data = pool[key][taken[key]]
        else:
            pool[key].append(parameter.data)
        taken[key] += 1


class _Bound:
    """One copy of a model, under the code compiled for all."""

    def __init__(self, compiled: Compiled, module: Any) -> None:
        self.compiled = compiled.function
        self.module = module

    def __call__(self, images: Any) -> Any:
        return self.compiled(self.module, images)


@contextlib.contextmanager
def placed(
    subjects: Mapping[str, Subject],
    mode: Mode,
    rng: np.random.Generator,
    *,
    placement: Placement = "own",
    timer: Callable[[], float] = time.perf_counter,
) -> Iterator[dict[str, Call]]:
    """A fresh placement: every subject copied in random order with random padding between, and called once untimed.

    Inside, nothing is recorded for gradients in mode ``forward``, and the garbage collector is off.

    Raises:
        SubjectError: as ``place`` and ``check``.
    """
    calls: dict[str, Call] = {}
    padding: list[Tensor] = []
    pool: Pool | None = defaultdict(list) if placement == "shared" else None
    names = list(subjects)
    seed = int(rng.integers(2**31))  # of the labels of training steps, the same for all
    for name in rng.permutation(names).tolist():
        size = int(2 ** rng.uniform(6, 20))  # 64 B to 1 MiB: moves small allocations and large ones
        padding.append(torch.empty(size, dtype=torch.uint8, device=subjects[name].device))
        calls[name] = place(name, subjects[name], mode, seed, timer=timer, pool=pool)
    collecting = gc.isenabled()
    gc.disable()
    try:
        with torch.inference_mode(mode == "forward"):
            for name in names:
                subjects[name].announce()
                check(name, calls[name])
            yield calls
    finally:
        calls.clear()
        if collecting:
            gc.enable()
