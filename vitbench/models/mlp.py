"""The two feed-forward layers of a block, under timm's names."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping

from jaxtyping import Float
from torch import Tensor, nn

from vitbench.config import Act, ViTConfig

ACTIVATIONS: Mapping[Act, Callable[[], nn.Module]] = types.MappingProxyType(
    {
        "gelu": nn.GELU,
        "gelu_tanh": lambda: nn.GELU(approximate="tanh"),
        "relu": nn.ReLU,
        "silu": nn.SiLU,
    }
)
"""Word in the config → module. ``gelu_tanh`` is what flax calls gelu."""


class Mlp(nn.Module):
    """Two linear maps with an activation between them, dropout after each."""

    def __init__(self, dim: int, hidden: int, drop_rate: float = 0.0, act: Act = "gelu") -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.act = ACTIVATIONS[act]()
        self.fc2 = nn.Linear(hidden, dim)
        self.drop = nn.Dropout(drop_rate)

    def forward(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        return self.drop(self.fc2(self.drop(self.act(self.fc1(x)))))


class SwiGLU(nn.Module):
    """fc2(silu(fc1_g(x)) · fc1_x(x)) (Shazeer 2020). Of equal ``hidden`` it has half as many weights again as Mlp."""

    def __init__(self, dim: int, hidden: int, drop_rate: float = 0.0) -> None:
        super().__init__()
        self.fc1_g = nn.Linear(dim, hidden)
        self.fc1_x = nn.Linear(dim, hidden)
        self.act = nn.SiLU()
        self.fc2 = nn.Linear(hidden, dim)
        self.drop = nn.Dropout(drop_rate)

    def forward(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        return self.drop(self.fc2(self.drop(self.act(self.fc1_g(x)) * self.fc1_x(x))))


def build_mlp(config: ViTConfig) -> Mlp | SwiGLU:
    """The feed-forward layers of one block."""
    if config.mlp == "swiglu":
        return SwiGLU(config.embed_dim, config.mlp_dim, config.drop_rate)
    return Mlp(config.embed_dim, config.mlp_dim, config.drop_rate, config.act)
