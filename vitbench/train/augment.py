"""Random shifts and flips, drawn for a whole epoch at once."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def draw(count: int, *, shift_px: int, flip: bool, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Shifts (count, 2), down and right in pixels, and flips (count,), one row per image.

    Both are always drawn, so that the draws of one do not depend on the setting of the other.
    """
    shifts = torch.randint(-shift_px, shift_px + 1, (count, 2), generator=generator)
    flips = torch.rand(count, generator=generator) < 0.5
    return shifts, flips & flip


def pad(images: Tensor, shift_px: int) -> Tensor:
    """Images (n, c, h, w) with a border of ``shift_px`` raw zeros, the background, on each side."""
    return functional.pad(images, (shift_px,) * 4) if shift_px else images


def take(padded: Tensor, index: Tensor, shifts: Tensor, flips: Tensor, *, shift_px: int) -> Tensor:
    """The images at ``index`` (n,), without padding: shifted by the rows of ``shifts``, mirrored where ``flips``."""
    height, width = padded.shape[2] - 2 * shift_px, padded.shape[3] - 2 * shift_px
    device = padded.device
    forward = torch.arange(width, device=device)
    rows = shift_px - shifts[:, :1] + torch.arange(height, device=device)
    columns = shift_px - shifts[:, 1:] + torch.where(flips[:, None], forward.flip(0), forward)
    channels = torch.arange(padded.shape[1], device=device)[:, None, None]
    return padded[index[:, None, None, None], channels, rows[:, None, :, None], columns[:, None, None, :]]
