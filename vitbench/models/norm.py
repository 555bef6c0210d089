"""The norms of a transformer: each acts on the last dimension of whatever it is given."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import TypeAlias

from jaxtyping import Float
from torch import Tensor, nn

from vitbench.declare.vit import Norm


class TokenBatchNorm(nn.BatchNorm1d):
    """Batch norm of each channel over all tokens of the batch; in training padding would count among them."""

    def forward(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        return super().forward(x.flatten(0, -2)).view(x.shape)


class RMSNorm(nn.RMSNorm):
    """torch's, which under autocast stays in float32 as its layer norm does."""

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
