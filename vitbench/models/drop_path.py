"""Stochastic depth (Huang et al. 2016): in training, a sample skips a residual branch with probability ``rate``."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vitbench.declare.vit import DropPathSchedule


class DropPath(nn.Module):
    """Drops a branch per sample and divides the kept ones by ``1 - rate``, so that the expectation is unchanged."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        if not self.training or self.rate == 0:
            return x
        keep = 1 - self.rate
        mask = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(keep)
        return x * mask.div_(keep)

    def extra_repr(self) -> str:
        return f"rate={self.rate:g}"


def drop_path_rates(rate: float, depth: int, schedule: DropPathSchedule) -> list[float]:
    """The rate of each block: ``rate`` everywhere, or linear from 0 in the first block to ``rate`` in the last.

    A single block has rate 0 under the linear rule, like ``linspace(0, rate, 1)`` in timm and DeiT.
    """
    if schedule == "constant":
        return [rate] * depth
    return torch.linspace(0, rate, depth, dtype=torch.float64, device="cpu").tolist()
