"""The forward pass or training step whose memory ``peak_memory`` models, on real tensors: for what must be measured."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from vitbench.declare.measure import MeasureConfig
from vitbench.declare.model import ModelConfig
from vitbench.declare.train import TrainConfig
from vitbench.devices.host_memory import free_memory
from vitbench.measure.peak_memory.modelled import held_by, labels_of, loss_of, scores_of
from vitbench.measure.prepare import prepared
from vitbench.train.optimizer import adamw

SPARE = 0.8
"""Share of the free memory that a step may be expected to need."""


@dataclass(frozen=True)
class RealStep:
    """One step that can be run again and again, and the tensors that are there before and after it."""

    run: Callable[[], None]
    held: Callable[[], list[Tensor]]

    def held_bytes(self) -> int:
        """Of parameters, buffers, images, labels and the optimiser's state; what shares a storage counts once."""
        return sum({t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in self.held()}.values())  # noqa: SLF001

    def warm_up(self) -> None:
        """One step, which makes the optimiser's state and whatever libraries keep; nothing of it is left to collect."""
        self.run()
        gc.collect()


def real_step(config: ModelConfig, settings: MeasureConfig, *, device: str, training: bool) -> RealStep:
    """The step, eager, on weights and images of its own.

    Raises:
        UserError: the model cannot be built, or puts out nothing that can be trained.
    """
    model, images = prepared(config, settings, device=device, training=training)
    model.train(training)
    if not training:

        def infer() -> None:
            with torch.no_grad():
                model(images)

        return RealStep(infer, lambda: [*model.parameters(), *model.buffers(), images])
    labels = [label.to(device) for label in labels_of(model, (images,))]
    optimizer = adamw(model, TrainConfig())

    def train() -> None:
        torch.autograd.backward(loss_of(scores_of(model(images)), labels))
        optimizer.step()
        optimizer.zero_grad()

    def held() -> Iterable[Tensor]:
        return (*model.parameters(), *model.buffers(), images, *labels, *held_by(optimizer))

    return RealStep(train, lambda: list(held()))


def why_not_run(modelled: int) -> str | None:
    """Why a step of so many bytes is not tried on this machine; None where it fits."""
    free = free_memory()
    if modelled <= SPARE * free:
        return None
    return f"it is modelled to need {modelled / 2**20:,.0f} MiB, and {free / 2**20:,.0f} MiB are free"
