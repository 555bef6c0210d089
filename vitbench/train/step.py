"""One step of training: forward, backward, clipping, and the optimiser, over one batch or several that count as one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vitbench.declare.train import TrainConfig
from vitbench.models.compiler import prepare_compiler
from vitbench.train.loss import cross_entropy, distillation_loss
from vitbench.train.optimizer import build_optimizer, set_rate
from vitbench.train.precision import autocast, scaler
from vitbench.utils.errors import UserError


class Step:
    """Turns a batch and a learning rate into a step of the model.

    Args:
        model: on the device; its parameters that require gradients are trained.
        config: the recipe.
        device: where the batches will be.
        teacher: on the device; called in evaluation mode without gradients, on the images that the model sees.

    Raises:
        UserError: a setting that this device or this model cannot have.
    """

    def __init__(self, model: nn.Module, config: TrainConfig, device: str, teacher: nn.Module | None = None) -> None:
        self.config, self.device = config, device
        self.forward = compiled(model, device) if config.compile else model
        self.optimizer = build_optimizer(model, config)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.teacher = teacher
        self.scaler = scaler(config, device)

    def __call__(self, images: Tensor, targets: Tensor, rate: float) -> Tensor:
        """One step on (batch, c, h, w) and (batch,) or (batch, classes); returns the loss, detached.

        With ``accumulate`` the batch goes through the model in that many parts, whose gradients add up to the whole's.
        """
        set_rate(self.optimizer, rate)
        if self.config.accumulate == 1:
            total = self._backward(images, targets)
        else:
            parts = zip(*(torch.split(x, self.config.batch_size) for x in (images, targets)), strict=True)
            losses = [self._backward(x, y, len(x) / len(images)) for x, y in parts]
            total = torch.stack(losses).sum()
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        if self.config.clip_grad_norm:
            nn.utils.clip_grad_norm_(self.parameters, self.config.clip_grad_norm, foreach=True)
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        self.optimizer.zero_grad()
        return total

    def _backward(self, images: Tensor, targets: Tensor, share: float = 1.0) -> Tensor:
        with autocast(self.config, self.device):
            loss = self._loss(images, targets)
            if share != 1:
                loss = loss * share
        torch.autograd.backward(loss if self.scaler is None else self.scaler.scale(loss))
        return loss.detach()

    def _loss(self, images: Tensor, targets: Tensor) -> Tensor:
        if self.teacher is None:
            return cross_entropy(self.forward(images), targets, self.config.label_smoothing)
        with torch.no_grad():
            taught = self.teacher(images)
        outputs = self.forward(images)
        logits = outputs if isinstance(outputs, Tensor) else outputs[0]
        if not isinstance(taught, Tensor) or taught.shape != logits.shape:
            what = tuple(taught.shape) if isinstance(taught, Tensor) else type(taught).__name__
            raise UserError(
                f"the teacher puts out {what} for a batch of {len(images)} and the model {tuple(logits.shape)}: "
                "take a teacher for the same classes"
            )
        return distillation_loss(outputs, targets, taught, self.config)


def compiled(model: nn.Module, device: str) -> Any:
    """The model under ``torch.compile``, which shares its weights.

    Raises:
        UserError: the device's compiler is missing.
    """
    prepare_compiler(torch.device(device).type)
    return torch.compile(model)
