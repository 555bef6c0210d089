"""Position embeddings: they tell the tokens of a vision transformer where they are.

``POSITIONS`` has a row for each word that ``ViTConfig.pos_embed`` takes. A kind may add a table to the tokens (at the
stem, or before every layer), add a bias to the attention scores of every layer, or rotate the queries and keys of
every layer.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vitbench.declare.vit import PosEmbed, ViTConfig


def grid_positions(grid_size: tuple[int, int]) -> tuple[Float[Tensor, " patches"], Float[Tensor, " patches"]]:
    """Row and column of each patch in reading order, counted in patches."""
    rows, columns = (torch.arange(side, dtype=torch.float32) for side in grid_size)
    return rows.repeat_interleave(grid_size[1]), columns.repeat(grid_size[0])


def learned_table(config: ViTConfig) -> nn.Parameter:
    """A learned vector for every token, prefix tokens included: timm's ``pos_embed``, (1, tokens, dim)."""
    return nn.Parameter(torch.zeros(1, config.num_prefix_tokens + config.num_patches, config.embed_dim))


class Learned2d(nn.Module):
    """A learned vector for each column and each row, half of the channels each (ViT, appendix D.4).

    The column comes first, as in sincos2d. Prefix tokens have no place in the grid and learn a whole vector, as in 1-D.
    """

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        (height, width), half = config.grid_size, config.embed_dim // 2
        self.columns = nn.Parameter(torch.zeros(width, half))
        self.rows = nn.Parameter(torch.zeros(height, half))
        prefix = config.num_prefix_tokens
        self.prefix = nn.Parameter(torch.zeros(prefix, config.embed_dim)) if prefix else None

    def forward(self) -> Float[Tensor, "1 tokens dim"]:
        height, width = len(self.rows), len(self.columns)
        columns = self.columns.expand(height, -1, -1)
        rows = self.rows[:, None].expand(-1, width, -1)
        patches = torch.cat((columns, rows), dim=-1).flatten(0, 1)
        return (patches if self.prefix is None else torch.cat((self.prefix, patches)))[None]


def sincos1d_table(config: ViTConfig) -> Float[Tensor, "1 tokens dim"]:
    """Fixed sines and cosines of the position in reading order (Vaswani et al. 2017, section 3.5).

    Channel 2i is the sine, 2i + 1 the cosine, of position · 10000^(-2i / dim). Prefix tokens get zeros.
    """
    half = config.embed_dim // 2
    omega = 10_000.0 ** -(torch.arange(half) / half)
    angles = torch.arange(config.num_patches, dtype=torch.float32).outer(omega)
    patches = torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)
    return torch.cat((patches.new_zeros(config.num_prefix_tokens, config.embed_dim), patches))[None]


def sincos2d_table(config: ViTConfig) -> Float[Tensor, "1 tokens dim"]:
    """Fixed sines and cosines of column and row: (sin x, cos x, sin y, cos y), a quarter of the channels each.

    Frequencies fall from 1 to 1/10000: ω_i = 10000^(-i / (dim/4 - 1)), as in SimpleViT (Beyer et al. 2022, big_vision
    ``posemb_sincos_2d``); MoCo v3 divides by dim/4 instead. Prefix tokens get zeros, as in MoCo v3.
    """
    quarter = config.embed_dim // 4
    omega = 10_000.0 ** -(torch.arange(quarter) / max(quarter - 1, 1))
    rows, columns = grid_positions(config.grid_size)
    x, y = columns.outer(omega), rows.outer(omega)
    patches = torch.cat((x.sin(), x.cos(), y.sin(), y.cos()), dim=1)
    return torch.cat((patches.new_zeros(config.num_prefix_tokens, config.embed_dim), patches))[None]


class RelativeBias(nn.Module):
    """A learned bias on the attention scores, per head and 2-D offset from query to key (Swin, Liu et al. 2021).

    Prefix tokens have no place in the grid; they learn three biases of their own per head, as in BEiT: prefix to
    patch, patch to prefix, and prefix to prefix. Names and layout are those of timm's ``RelPosBias``.
    """

    index: Tensor

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        height, width = config.grid_size
        prefix = config.num_prefix_tokens
        offsets = (2 * height - 1) * (2 * width - 1)
        self.relative_position_bias_table = nn.Parameter(torch.zeros(offsets + 3 * bool(prefix), config.num_heads))

        rows, columns = (positions.long() for positions in grid_positions(config.grid_size))
        down = rows[:, None] - rows + height - 1
        across = columns[:, None] - columns + width - 1
        tokens = prefix + config.num_patches
        index = torch.empty(tokens, tokens, dtype=torch.long)
        index[prefix:, prefix:] = down * (2 * width - 1) + across
        index[:prefix, prefix:] = offsets
        index[prefix:, :prefix] = offsets + 1
        index[:prefix, :prefix] = offsets + 2
        self.register_buffer("index", index, persistent=False)

    def forward(self) -> Float[Tensor, "heads tokens tokens"]:
        return self.relative_position_bias_table.t()[:, self.index]


class Rope(nn.Module):
    """Rotates queries and keys by angles proportional to row and column, so that a score depends only on their offset.

    Axial, as RoPE-ViT (Heo et al. 2024): half of the channel pairs rotate with the column, half with the row, with
    frequencies 100^(-i / (head_dim/4)). Channel i is paired with channel i + head_dim/2. Prefix tokens are not
    rotated. One instance serves all layers.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        quarter = config.head_dim // 4
        omega = 100.0 ** -(torch.arange(quarter) / quarter)
        rows, columns = grid_positions(config.grid_size)
        patches = torch.cat((columns.outer(omega), rows.outer(omega)), dim=1)
        angles = torch.cat((patches.new_zeros(config.num_prefix_tokens, 2 * quarter), patches))
        self.register_buffer("cos", angles.cos()[:, None, None], persistent=False)
        self.register_buffer("sin", angles.sin()[:, None, None], persistent=False)

    def forward(self, qk: Float[Tensor, "batch tokens 2 heads head"]) -> Float[Tensor, "batch tokens 2 heads head"]:
        a, b = qk.chunk(2, dim=-1)
        return torch.cat((a * self.cos - b * self.sin, a * self.sin + b * self.cos), dim=-1).to(qk.dtype)


@dataclass(frozen=True, kw_only=True)
class Position:
    """What one kind of position embedding adds to a model, and where it adds it."""

    table: Callable[[ViTConfig], Tensor | Learned2d] | None = None  # added to the tokens
    bias: Callable[[ViTConfig], RelativeBias] | None = None  # one for each layer, on its attention scores
    rope: Callable[[ViTConfig], Rope] | None = None  # one for all layers, on their queries and keys


POSITIONS: Mapping[PosEmbed, Position] = types.MappingProxyType(
    {
        "none": Position(),
        "learned": Position(table=learned_table),
        "learned2d": Position(table=Learned2d),
        "sincos1d": Position(table=sincos1d_table),
        "sincos2d": Position(table=sincos2d_table),
        "relative": Position(bias=RelativeBias),
        "rope": Position(rope=Rope),
    }
)
"""Word in the config → the position embedding."""
