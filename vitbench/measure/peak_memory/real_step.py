"""Forward passes and training steps on real tensors, for measurements of their memory."""

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
from vitbench.measure.peak_memory.modelled import labels_of, loss_of, optimizer_state, scores_of
from vitbench.measure.prepare import prepared
from vitbench.train.optimizer import adamw

MAX_SHARE = 0.8
"""Maximum modelled memory of a step, as a share of the free memory."""


@dataclass(frozen=True)
class RealStep:
    """A repeatable step, and the tensors that are alive before and after it."""

    run: Callable[[], None]
    held: Callable[[], list[Tensor]]

    def held_bytes(self) -> int:
        """Bytes of parameters, buffers, images, labels and optimiser state; a shared storage counts once."""
        return sum({t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in self.held()}.values())  # noqa: SLF001

    def warm_up(self) -> None:
        """Runs one step, which creates the optimiser's state and libraries' caches, and collects garbage."""
        self.run()
        gc.collect()


def real_step(config: ModelConfig, settings: MeasureConfig, *, device: str, training: bool) -> RealStep:
    """An eager step with its own weights and images.

    Raises:
        UserError: the model cannot be built, or its output cannot be trained.
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
        return (*model.parameters(), *model.buffers(), images, *labels, *optimizer_state(optimizer))

    return RealStep(train, lambda: list(held()))


def why_not_run(modelled: int) -> str | None:
    """The reason not to run a step of ``modelled`` bytes on this machine; None if it fits."""
    free = free_memory()
    if modelled <= MAX_SHARE * free:
        return None
    return f"it needs {modelled / 2**20:,.0f} MiB by the model, and {free / 2**20:,.0f} MiB are free"
