"""The tensors of a checkpoint that depend on the grid of patches, resized from the file's grid to the model's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias

import torch
from torch import Tensor

from vitbench.declare.vit import ViTConfig
from vitbench.models.weights.checkpoint import Checkpoint, damaged
from vitbench.models.weights.formats import Converted
from vitbench.models.weights.resizing import resize_grid
from vitbench.models.weights.shapes import prefix_rows
from vitbench.utils.errors import UserError

Grid: TypeAlias = tuple[int, int]

OFFSETS = "relative_position_bias_table"
PREFIX_OFFSETS = 3
"""Rows after the offsets, where there are tokens before the patches: see ``RelativeBias``."""


def offsets_of(grid: tuple[int, int]) -> tuple[int, int]:
    """The number of offsets between two patches of a grid, down and across."""
    return 2 * grid[0] - 1, 2 * grid[1] - 1


class Positions:
    """Tables of positions: fitted on shapes alone, then resized when their numbers are read."""

    def __init__(self, checkpoint: Checkpoint, converted: Converted) -> None:
        self.checkpoint, self.converted = checkpoint, converted
        self.resized: dict[str, str] = {}  # name → from which grid to which, and how
        self.tables: dict[str, tuple[Grid, Grid, str]] = {}  # one row for each token: old grid, new grid, method
        self.rows = (0, 0)  # of prefix tokens in those: the file's, the model's
        self.factors: dict[str, tuple[Grid, Grid, str]] = {}  # of learned2d and relative, the grid first

    def fit(
        self, offered: dict[str, Tensor], target: Mapping[str, Tensor], config: ViTConfig, method: str
    ) -> dict[str, str]:
        """Gives ``offered`` the shapes of ``target`` where only the grid differs.

        Returns:
            What is dropped, with the reason.

        Raises:
            UserError: a position embedding for a model that computes its own; a grid that cannot be told.
        """
        for name, table in list(offered.items()):
            wanted = target.get(name)
            if wanted is None or table.ndim != 2 or table.shape == wanted.shape or table.shape[1:] != wanted.shape[1:]:
                continue
            self._fit_factor(name, table, wanted, config, method)
            if name in self.factors:
                offered[name] = table.new_empty(wanted.shape)
        if "pos_embed" not in offered or "pos_embed" not in target:
            return {}
        theirs, ours = offered["pos_embed"], target["pos_embed"]
        if config.pos_embed != "learned":
            return self._computed(offered, config)
        if theirs.ndim != 3 or len(theirs) != 1:
            return {}  # no table at all: the plan's check names it
        new = config.grid_size
        self.rows = (self._prefix_rows(theirs.shape[1], new), ours.shape[1] - math.prod(new))
        if self.rows[0] > self.rows[1] > 0:
            return {}  # other tokens: the plan's check names them
        old = self._grid(theirs.shape[1] - self.rows[0], new)
        for name in [name for name, table in offered.items() if _is_table(name) and table.shape == theirs.shape]:
            offered[name] = theirs.new_empty(1, self.rows[1] + math.prod(new), theirs.shape[2])
            self._note(self.tables, name, old, new, method)
        if self.rows[0] > self.rows[1]:
            return {"the first positions": f"the model has no token for {self.rows[0]} of them"}
        return {}

    def resize(self, name: str, table: Tensor) -> Tensor:
        """The values of one tensor, in the model's shape."""
        if name in self.tables:
            return self._with_prefix(table, *self.tables[name])
        if name not in self.factors:
            return table
        old, new, method = self.factors[name]
        grid, rest = table[: math.prod(old)], table[math.prod(old) :]
        return torch.cat((resize_grid(grid[None], old, new, method)[0].to(table.dtype), rest))

    def _with_prefix(self, table: Tensor, old: Grid, new: Grid, method: str) -> Tensor:
        theirs, ours = self.rows
        prefix, patches = table[:, :theirs], table[:, theirs:]
        if theirs != ours:  # tokens that join after the positions are added have zeros
            none = table.new_zeros(1, max(ours - theirs, 0), table.shape[2])
            prefix = torch.cat((prefix[:, :ours], none), dim=1)
        if old != new:
            patches = resize_grid(patches, old, new, method).to(table.dtype)
        return torch.cat((prefix, patches), dim=1)

    def _note(self, where: dict[str, tuple[Grid, Grid, str]], name: str, old: Grid, new: Grid, method: str) -> None:
        where[name] = (old, new, method)
        if old != new:
            self.resized[name] = f"{old[0]}×{old[1]} → {new[0]}×{new[1]}, {method}"

    def _fit_factor(self, name: str, theirs: Tensor, ours: Tensor, config: ViTConfig, method: str) -> None:
        """Resizes the vectors of columns and rows of learned2d, or relative's biases of offsets."""
        kind = name.rpartition(".")[2]
        if kind in ("columns", "rows"):
            self._note(self.factors, name, (1, len(theirs)), (1, len(ours)), method)
        elif kind == OFFSETS:
            offsets = len(theirs) - PREFIX_OFFSETS * bool(config.num_prefix_tokens)
            self._note(self.factors, name, self._grid_of_offsets(offsets), offsets_of(config.grid_size), method)

    def _computed(self, offered: dict[str, Tensor], config: ViTConfig) -> dict[str, str]:
        """Drops the file's positions if both models compute theirs; otherwise the two do not fit."""
        if isinstance(self.checkpoint.config, ViTConfig) and self.checkpoint.config.pos_embed != "learned":
            del offered["pos_embed"]
            return dict.fromkeys(self.converted.sources["pos_embed"], "the model computes its own")
        raise UserError(
            f"{self.checkpoint.path} has a position embedding and the model computes its own "
            f"(pos_embed={config.pos_embed}): build it with pos_embed='learned'"
        )

    def _grid_of_offsets(self, offsets: int) -> tuple[int, int]:
        if isinstance(self.checkpoint.config, ViTConfig):
            grid = offsets_of(self.checkpoint.config.grid_size)
        else:
            grid = (math.isqrt(max(offsets, 0)),) * 2
        if math.prod(grid) != offsets:
            raise damaged(self.checkpoint.path, f"its {offsets} offsets make no grid")
        return grid

    def _prefix_rows(self, rows: int, new: tuple[int, int]) -> int:
        """The number of rows in the file's positions that belong to no patch."""
        if isinstance(self.checkpoint.config, ViTConfig):
            theirs = self.checkpoint.config
            if rows != theirs.num_prefix_tokens + theirs.num_patches:
                raise damaged(self.checkpoint.path, f"its {rows} positions are not those of its config")
            return theirs.num_prefix_tokens
        tokens = ("cls_token", "dist_token", "reg_token")
        everything = sum(t.shape[1] for n, t in self.converted.tensors.items() if n in tokens)
        if new[0] != new[1] and rows == everything + math.prod(new):
            return everything
        return prefix_rows(self.converted.tensors, math.prod(new))

    def _grid(self, patches: int, new: tuple[int, int]) -> tuple[int, int]:
        """The grid of the file: square, as in all published files, unless only the model's grid fits."""
        if isinstance(self.checkpoint.config, ViTConfig):
            return self.checkpoint.config.grid_size
        side = math.isqrt(max(patches, 0))
        if side**2 == patches:
            return side, side
        if patches == math.prod(new):
            return new
        raise UserError(
            f"{self.checkpoint.path} has positions of {patches} patches, which do not form a square: "
            "the grid that they belong to cannot be told"
        )


def _is_table(name: str) -> bool:
    """Whether the name is that of a position embedding, the model's or a block's own."""
    return name.rpartition(".")[2] == "pos_embed"
