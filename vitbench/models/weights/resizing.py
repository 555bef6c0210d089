"""Resizes position embeddings to another grid by the methods of six libraries, taken from their code."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  # the name everybody gives it
from jaxtyping import Float
from torch import Tensor

from vitbench.utils.errors import UserError, unknown

METHODS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "bicubic_antialias": {"mode": "bicubic", "antialias": True},
        "bicubic": {"mode": "bicubic"},
        "bicubic_align_corners": {"mode": "bicubic", "align_corners": True},
        "bilinear": {"mode": "bilinear"},
        "bilinear_align_corners": {"mode": "bilinear", "align_corners": True},
    }
)
"""Name → arguments of ``F.interpolate``. In order, the method of: current timm; DeiT, Hugging Face and timm 0.5;
torchvision; timm up to 0.4; vit_jax and big_vision (``scipy.ndimage.zoom(order=1)``)."""


def resize_grid(
    table: Float[Tensor, "1 old dim"], old: tuple[int, int], new: tuple[int, int], method: str
) -> Float[Tensor, "1 new dim"]:
    """A table of positions in reading order, from a grid of ``old`` (rows, columns) to one of ``new``, in float32.

    Raises:
        UserError: no such method.
    """
    if method not in METHODS:
        raise UserError(unknown("resize method", method, METHODS))
    grid = table.to(torch.float32).reshape(1, *old, -1).permute(0, 3, 1, 2)
    return F.interpolate(grid, size=new, **METHODS[method]).permute(0, 2, 3, 1).flatten(1, 2)
