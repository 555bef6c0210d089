"""What is timed: a model and its input, placed afresh in memory, as a call without arguments."""

from __future__ import annotations

import contextlib
import copy
import functools
import gc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from vitbench.errors import UserError
from vitbench.measure.compiled import Compiled
from vitbench.train.loss import cross_entropy

Mode: TypeAlias = Literal["forward", "train_step"]
Call: TypeAlias = Callable[[], Any]


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
        """Told before the first call of each placement, which may crash; a worker says here whose turn it is."""

    def synchronize(self) -> None:
        """Waits until the device has done what it was told."""
        if torch.device(self.device).type == "cuda":
            torch.cuda.synchronize(self.device)


def _is_finite(output: Any) -> bool:
    if isinstance(output, Tensor):
        return bool(torch.isfinite(output).all())
    if isinstance(output, Mapping):
        return all(map(_is_finite, output.values()))
    if isinstance(output, (tuple, list)):
        return all(map(_is_finite, output))
    return not isinstance(output, float) or bool(np.isfinite(output))


@contextlib.contextmanager
def blame(name: str) -> Iterator[None]:
    """Whatever is raised inside is the subject's doing, and says so."""
    try:
        yield
    except SubjectError:
        raise
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
        if not _is_finite(call()):
            raise SubjectError(name, "its output holds NaN or infinity")


def place(name: str, subject: Subject, mode: Mode, seed: int) -> Call:
    """A call of a fresh deep copy, in memory of its own.

    Raises:
        SubjectError: the model cannot be copied, or has nothing to train.
    """
    with blame(name), torch.inference_mode(mode=False):  # compiled code would take inference tensors for another case
        model, example = copy.deepcopy((subject.model, subject.example))
        if isinstance(model, nn.Module):
            model = model.to(subject.device).train(mode == "train_step")
        if isinstance(example, Tensor):
            example = example.to(subject.device)
        if subject.compile:
            model = _Bound(subject.compiled, model)
        return _train_step(name, model, example, seed) if mode == "train_step" else lambda: model(example)


def _train_step(name: str, model: Any, images: Tensor, seed: int) -> Call:
    """Forward, cross-entropy, backward and AdamW on one batch with random labels; returns the loss."""
    module = model.module if isinstance(model, _Bound) else model
    if not isinstance(module, nn.Module) or not any(p.requires_grad for p in module.parameters()):
        raise SubjectError(name, "it has no parameters to train")
    optimizer = torch.optim.AdamW((p for p in module.parameters() if p.requires_grad), lr=1e-4)
    labels: list[Tensor] = []  # drawn in the first step, when the number of classes is known

    def step() -> Tensor:
        outputs = model(images)
        if not labels:
            logits = outputs[0] if isinstance(outputs, tuple) and outputs else outputs
            if not isinstance(logits, Tensor) or logits.ndim != 2:
                raise SubjectError(name, "a training step takes a model that returns logits of (batch, classes)")
            generator = torch.Generator().manual_seed(seed)
            drawn = torch.randint(logits.shape[1], (logits.shape[0],), generator=generator)
            labels.append(drawn.to(logits.device))
        loss = cross_entropy(outputs, labels[0])
        torch.autograd.backward(loss)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    return step


class _Bound:
    """One copy of a model, under the code compiled for all."""

    def __init__(self, compiled: Compiled, module: Any) -> None:
        self.compiled = compiled.function
        self.module = module

    def __call__(self, images: Any) -> Any:
        return self.compiled(self.module, images)


@contextlib.contextmanager
def placed(subjects: Mapping[str, Subject], mode: Mode, rng: np.random.Generator) -> Iterator[dict[str, Call]]:
    """A fresh placement: every subject copied in random order with random padding between, and called once untimed.

    Inside, nothing is recorded for gradients in mode ``forward``, and the garbage collector is off.

    Raises:
        SubjectError: as ``place`` and ``check``.
    """
    calls: dict[str, Call] = {}
    padding: list[Tensor] = []
    names = list(subjects)
    seed = int(rng.integers(2**31))  # of the labels of training steps, the same for all
    for name in rng.permutation(names).tolist():
        size = int(2 ** rng.uniform(6, 20))  # 64 B to 1 MiB: moves small allocations and large ones
        padding.append(torch.empty(size, dtype=torch.uint8, device=subjects[name].device))
        calls[name] = place(name, subjects[name], mode, seed)
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
