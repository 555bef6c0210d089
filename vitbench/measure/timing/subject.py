"""Subjects of timing: a model and its input, freshly placed in memory, as a call without arguments."""

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
from vitbench.utils.errors import UserError, first_line

Mode: TypeAlias = Literal["forward", "train_step"]
Call: TypeAlias = Callable[[], Any]
Pool: TypeAlias = defaultdict[tuple[Any, ...], list[Tensor]]


class SubjectError(UserError):
    """A subject that cannot be timed; ``__cause__`` is the exception that it raised, if any."""

    def __init__(self, subject: str, reason: str) -> None:
        super().__init__(f"{subject} cannot be timed: {reason}")
        self.subject = subject
        self.reason = reason


@dataclass(frozen=True)
class Subject:
    """A model, or any callable of one argument, with its input.

    Deep copies are timed, in evaluation mode for ``forward`` and in training mode for ``train_step``. Batch sizes and
    dtypes may differ between subjects. Variables that a plain function closes over are not copied, so their placement
    does not change between blocks: pass a module or an object instead.

    With ``compile``, all copies run the same compiled code, so placements differ only in the memory of their tensors.
    """

    model: nn.Module | Callable[[Any], Any]
    example: Any  # a tensor is (batch, …)
    device: torch.device | str = "cpu"
    compile: bool = False

    @functools.cached_property
    def compiled(self) -> Compiled:
        """The compiled call of any copy of the model."""
        return Compiled(torch.device(self.device).type)

    @property
    def batch_size(self) -> int:
        """Images per call; 1 if the input is not a tensor."""
        return len(self.example) if isinstance(self.example, Tensor) and self.example.ndim else 1

    def announce(self) -> None:
        """Called before the first call of each placement and before each sample; workers report the subject here."""

    @functools.cached_property
    def asynchronous(self) -> bool:
        """Whether a call returns before the device has finished."""
        return self._place.is_asynchronous

    @functools.cached_property
    def _place(self) -> Device:
        return device_of(self.device)

    def synchronize(self) -> None:
        """Waits until the device has finished all calls."""
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


def output_shapes(output: Any) -> Any:
    """The shapes of the tensors in an output, nested as in the output; None for anything else."""
    if isinstance(output, Tensor):
        return tuple(output.shape)
    if isinstance(output, Mapping):
        return {key: output_shapes(value) for key, value in output.items()}
    if isinstance(output, (tuple, list)):
        return [output_shapes(value) for value in output]
    return None


@contextlib.contextmanager
def as_subject_error(name: str) -> Iterator[None]:
    """Turns every exception inside into a SubjectError that names the subject."""
    try:
        yield
    except SubjectError:
        raise
    except UntrainableError as error:
        raise SubjectError(name, str(error)) from error
    except Exception as error:
        raise SubjectError(name, f"{type(error).__name__}: {first_line(error)}") from error


def check(name: str, call: Call) -> None:
    """Makes one untimed call.

    Raises:
        SubjectError: the call raised an exception, or its output is NaN or infinite.
    """
    with as_subject_error(name):
        check_output(name, call())


def check_output(name: str, output: Any) -> None:
    """Raises SubjectError if the output contains NaN or infinity."""
    if not _is_finite(output):
        raise SubjectError(name, "its output contains NaN or infinity")


def check_shapes(name: str, output: Any, expected: Any) -> None:
    """Raises SubjectError if the shapes of the output differ from ``expected``."""
    if (found := output_shapes(output)) != expected:
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
    """A call of a fresh deep copy in its own memory, or with parameters in the pool's memory if their shapes match.

    Raises:
        SubjectError: the model cannot be copied or trained.
    """
    with as_subject_error(name), torch.inference_mode(mode=False):  # inference tensors would trigger a recompilation
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
    """Lets the module's parameters use the memory of matching ones in the pool; others are added to the pool."""
    taken: dict[tuple[Any, ...], int] = defaultdict(int)
    for parameter in module.parameters():
        key = (parameter.shape, parameter.stride(), parameter.dtype, parameter.device)
        if taken[key] < len(pool[key]):
            parameter.data = pool[key][taken[key]]
        else:
            pool[key].append(parameter.data)
        taken[key] += 1


class _Bound:
    """A copy of a model that runs the compiled code shared by all copies."""

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
    """Calls of a fresh placement: all subjects are copied in random order with random padding, and called once.

    Inside the context, inference mode is on for ``forward``, and garbage collection is off.

    Raises:
        SubjectError: as in ``place`` and ``check``.
    """
    calls: dict[str, Call] = {}
    padding: list[Tensor] = []
    pool: Pool | None = defaultdict(list) if placement == "shared" else None
    names = list(subjects)
    seed = int(rng.integers(2**31))  # of the labels of training steps, common to all subjects
    for name in rng.permutation(names).tolist():
        size = int(2 ** rng.uniform(6, 20))  # 64 B to 1 MiB: shifts both small and large allocations
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
