"""Exponential moving average of a model's weights, which is evaluated in place of the model."""

from __future__ import annotations

import copy

import torch
from torch import nn


class RunningMean:
    """``mean ← decay · mean + (1 - decay) · weights`` after each step, starting from the initial weights.

    Batch-norm statistics are averaged too, and counters copied, as in timm, with which DeiT was trained. The mean spans
    about 1 / (1 - decay) steps; after far fewer steps it is still close to the initial weights.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).requires_grad_(requires_grad=False)
        means, weights = self.model.state_dict(), model.state_dict()
        averaged = [name for name, value in weights.items() if value.is_floating_point()]
        self._means, self._weights = [means[n] for n in averaged], [weights[n] for n in averaged]
        self._copies = [(means[n], weights[n]) for n in weights if n not in set(averaged)]

    @torch.no_grad()
    def update(self) -> None:
        """Updates the mean with the current weights."""
        torch._foreach_lerp_(self._means, self._weights, 1 - self.decay)  # one call for all tensors
        for mean, weight in self._copies:
            mean.copy_(weight)
