"""One training step: forward, backward, gradient clipping and optimiser, with or without gradient accumulation."""

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
    """A callable that trains a model for one step.

    Args:
        model: on the device; its parameters that require gradients are trained.
        config: the recipe.
        device: the device of the batches.
        teacher: on the device, in evaluation mode; called without gradients on the same images.

    Raises:
        UserError: the device or the model does not support a setting.
    """

    def __init__(self, model: nn.Module, config: TrainConfig, device: str, teacher: nn.Module | None = None) -> None:
        self.config, self.device = config, device
        self.forward = compiled(model, device) if config.compile else model
        self.optimizer = build_optimizer(model, config)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.teacher = teacher
        self.scaler = scaler(config, device)

    def __call__(self, images: Tensor, targets: Tensor, rate: float) -> Tensor:
        """The detached loss of one step on images (batch, c, h, w) and targets (batch,) or (batch, classes).

        With ``accumulate`` the batch is split into that many parts, whose gradients are summed.
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
            teacher_logits = self.teacher(images)
        outputs = self.forward(images)
        logits = outputs if isinstance(outputs, Tensor) else outputs[0]
        if not isinstance(teacher_logits, Tensor) or teacher_logits.shape != logits.shape:
            is_tensor = isinstance(teacher_logits, Tensor)
            output = tuple(teacher_logits.shape) if is_tensor else type(teacher_logits).__name__
            raise UserError(
                f"the teacher outputs {output} for a batch of {len(images)} and the model {tuple(logits.shape)}: "
                "take a teacher for the same classes"
            )
        return distillation_loss(outputs, targets, teacher_logits, self.config)


def compiled(model: nn.Module, device: str) -> Any:
    """The model under ``torch.compile``, with shared weights.

    Raises:
        UserError: the device's compiler is missing.
    """
    prepare_compiler(torch.device(device).type)
    return torch.compile(model)
