"""The two feed-forward layers of a block, under timm's names."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F  # noqa: N812  # the usual name
from jaxtyping import Float
from torch import Tensor, nn

from vitbench.declare.vit import Act, ViTConfig

ACTIVATIONS: Mapping[Act, Callable[[Tensor], Tensor]] = types.MappingProxyType(
    {
        "gelu": F.gelu,
        "gelu_tanh": functools.partial(F.gelu, approximate="tanh"),
        "relu": F.relu,
        "silu": F.silu,
    }
)
"""Word in the config → function. ``gelu_tanh`` is called gelu in flax."""

IN_PLACE: Mapping[Act, Callable[[Tensor], Tensor]] = types.MappingProxyType(
    {
        "gelu": torch.ops.aten.gelu_,
        "gelu_tanh": functools.partial(torch.ops.aten.gelu_, approximate="tanh"),
        "relu": torch.relu_,
        "silu": functools.partial(F.silu, inplace=True),
    }
)
"""The same functions, in place."""


class Activation(nn.Module):
    """An activation by its word in the config; in place where no gradient needs its input.

    The tensor is the widest of a block. Without a second one of its size a forward pass needs less memory and time.
    """

    def __init__(self, act: Act) -> None:
        super().__init__()
        self.act = act

    def forward(self, x: Float[Tensor, "*batch hidden"]) -> Float[Tensor, "*batch hidden"]:
        return (ACTIVATIONS if torch.is_grad_enabled() else IN_PLACE)[self.act](x)

    def extra_repr(self) -> str:
        return self.act


class Mlp(nn.Module):
    """Two linear maps with an activation between them, dropout after each."""

    def __init__(self, dim: int, hidden: int, drop_rate: float = 0.0, act: Act = "gelu") -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.act = Activation(act)
        self.fc2 = nn.Linear(hidden, dim)
        self.drop = nn.Dropout(drop_rate)

    def forward(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        return self.drop(self.fc2(self.drop(self.act(self.fc1(x)))))


class SwiGLU(nn.Module):
    """fc2(silu(fc1_g(x)) · fc1_x(x)) (Shazeer 2020). At equal ``hidden`` it has 1.5 times the weights of Mlp."""

    def __init__(self, dim: int, hidden: int, drop_rate: float = 0.0) -> None:
        super().__init__()
        self.fc1_g = nn.Linear(dim, hidden)
        self.fc1_x = nn.Linear(dim, hidden)
        self.act = Activation("silu")
        self.fc2 = nn.Linear(hidden, dim)
        self.drop = nn.Dropout(drop_rate)

    def forward(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        return self.drop(self.fc2(self.drop(self.act(self.fc1_g(x)) * self.fc1_x(x))))


def build_mlp(config: ViTConfig) -> Mlp | SwiGLU:
    """The feed-forward layers of one block."""
    if config.mlp == "swiglu":
        return SwiGLU(config.embed_dim, config.mlp_dim, config.drop_rate)
    return Mlp(config.embed_dim, config.mlp_dim, config.drop_rate, config.act)
