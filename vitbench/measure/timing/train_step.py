"""A training step as a call without arguments, with the times of its forward and backward passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vitbench.devices.cuda import Cuda
from vitbench.train.loss import cross_entropy


class UntrainableError(Exception):
    """The model has no parameters or no logits to train; the message completes "NAME cannot be timed: …"."""


class Step:
    """A training step on one batch with random labels: forward, cross-entropy, backward, AdamW. Returns the loss.

    Args:
        model: the callable to train, on images of (batch, …).
        module: the module with its parameters.
        images: the batch.
        seed: seed of the labels, which are drawn in the first step, when the number of classes is known.
        timer: returns seconds. On CUDA, events separate the passes instead, to avoid a synchronisation.

    Raises:
        UntrainableError: the module has no trainable parameters.
    """

    def __init__(
        self, model: Callable[[Any], Any], module: Any, images: Tensor, seed: int, timer: Callable[[], float]
    ) -> None:
        if not isinstance(module, nn.Module) or not any(p.requires_grad for p in module.parameters()):
            raise UntrainableError("it has no parameters to train")
        self.optimizer = torch.optim.AdamW((p for p in module.parameters() if p.requires_grad), lr=1e-4)
        self.model, self.images, self.seed, self.timer = model, images, seed, timer
        self.now: Callable[[], Any] = _event if images.is_cuda else timer
        self.labels: Tensor | None = None
        self.logits: torch.Size | None = None
        self.marks: list[tuple[Any, Any, Any]] = []

    def __call__(self) -> Tensor:
        start = self.now()
        outputs = self.model(self.images)
        loss = cross_entropy(outputs, self._targets(outputs))
        after_forward = self.now()
        torch.autograd.backward(loss)
        after_backward = self.now()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.marks.append((start, after_forward, after_backward))
        return loss.detach()

    def phases(self) -> tuple[float, float]:
        """Total seconds of forward and of backward passes since the last call; the device must have finished them."""
        forward = sum(_between(start, end) for start, end, _ in self.marks)
        backward = sum(_between(start, end) for _, start, end in self.marks)
        self.marks.clear()
        return forward, backward

    def _targets(self, outputs: Any) -> Tensor:
        logits = outputs[0] if isinstance(outputs, tuple) and outputs else outputs
        if not isinstance(logits, Tensor) or logits.ndim != 2:
            raise UntrainableError("a training step needs logits of shape (batch, classes)")
        if self.labels is None:
            generator = torch.Generator().manual_seed(self.seed)
            drawn = torch.randint(logits.shape[1], (logits.shape[0],), generator=generator)
            self.labels, self.logits = drawn.to(logits.device), logits.shape
        if logits.shape != self.logits:
            raise UntrainableError(f"its output changed from {tuple(self.logits or ())} to {tuple(logits.shape)}")
        return self.labels


def new_event() -> Any:
    """A CUDA event that records its time."""
    return Cuda.event()


def _event() -> Any:
    event = new_event()
    event.record()
    return event


def _between(first: Any, second: Any) -> float:
    return float(second - first if isinstance(first, (int, float)) else first.elapsed_time(second) / 1e3)
