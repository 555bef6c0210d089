"""A running mean of a model's weights, which is evaluated instead of them."""

from __future__ import annotations

import copy

import torch
from torch import nn


class RunningMean:
    """``mean ← decay · mean + (1 - decay) · weights`` after each step, from the initial weights on.

    Statistics of batch norm are averaged likewise, and counters copied, as in timm, which DeiT trains with. A decay of
    d remembers about 1 / (1 - d) steps: with many fewer steps the mean is still near the initial weights.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).requires_grad_(requires_grad=False)
        ours, theirs = self.model.state_dict(), model.state_dict()
        averaged = [name for name, value in theirs.items() if value.is_floating_point()]
        self._means, self._weights = [ours[n] for n in averaged], [theirs[n] for n in averaged]
        self._copies = [(ours[n], theirs[n]) for n in theirs if n not in set(averaged)]

    @torch.no_grad()
    def update(self) -> None:
        """Takes in the weights as they are now."""
        torch._foreach_lerp_(self._means, self._weights, 1 - self.decay)  # one call for all tensors
        for mean, weight in self._copies:
            mean.copy_(weight)
