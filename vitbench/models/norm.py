"""The norms of a transformer, over the last dimension of their input."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import TypeAlias

from jaxtyping import Float
from torch import Tensor, nn

from vitbench.declare.vit import Norm


class TokenBatchNorm(nn.BatchNorm1d):
    """Batch norm of each channel over all tokens of the batch; in training, padding would be included."""

    def forward(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        return super().forward(x.flatten(0, -2)).view(x.shape)


class RMSNorm(nn.RMSNorm):
    """torch's RMS norm, which stays in float32 under autocast, as its layer norm does."""

    def forward(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        return super().forward(x.to(self.weight.dtype))


NormFactory: TypeAlias = Callable[[int, float], nn.Module]

NORMS: Mapping[Norm, NormFactory] = types.MappingProxyType(
    {
        "layernorm": lambda dim, eps: nn.LayerNorm(dim, eps=eps),
        "rmsnorm": lambda dim, eps: RMSNorm(dim, eps=eps),
        "batchnorm": lambda dim, eps: TokenBatchNorm(dim, eps=eps),
    }
)
"""Word in the config → (channels, eps) → module."""
