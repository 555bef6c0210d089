"""Random rectangles for random resized crops and random erasing."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

TRIES = 10
"""Size draws per rectangle, as in torchvision; the first that fits is used, or the whole image if none fits."""


def draw_boxes(
    count: int, *, area: tuple[float, float], ratio: tuple[float, float], generator: torch.Generator
) -> Float[Tensor, "count 4"]:
    """Random rectangles (top, left, height, width) inside the image, as fractions of its sides.

    The area and the logarithm of width over height are uniform (Szegedy et al. 2015; torchvision's
    ``RandomResizedCrop``). Sizes that do not fit are drawn again, so large areas are rarer. The number of draws from
    ``generator`` is fixed.
    """
    height, width = torch.ones(count), torch.ones(count)
    pending = torch.ones(count, dtype=torch.bool)
    low, high = map(math.log, ratio)
    for _ in range(TRIES):
        share, aspect = torch.rand(2, count, generator=generator)
        share, aspect = area[0] + (area[1] - area[0]) * share, torch.exp(low + (high - low) * aspect)
        across, down = (share * aspect).sqrt(), (share / aspect).sqrt()
        fits = pending & (across <= 1) & (down <= 1)
        height, width = torch.where(fits, down, height), torch.where(fits, across, width)
        pending &= ~fits
    top, left = torch.rand(2, count, generator=generator)
    return torch.stack((top * (1 - height), left * (1 - width), height, width), dim=1)


def mirrored(boxes: Float[Tensor, "count 4"], flips: Tensor) -> Float[Tensor, "count 4"]:
    """The rectangles that show the same content after the images at ``flips`` are mirrored."""
    top, left, height, width = boxes.unbind(1)
    return torch.stack((top, torch.where(flips, 1 - left - width, left), height, width), dim=1)


def cut_out(images: Tensor, boxes: Float[Tensor, "batch 4"]) -> Float[Tensor, "batch chans height width"]:
    """The rectangle of each image, resized bilinearly to the size of the image, in float32.

    It is never scaled down, so no antialiasing is needed.
    """
    device = images.device
    top, left, height, width = boxes.to(device).T[:, :, None]
    rows, columns = ((torch.arange(size, device=device) + 0.5) / size for size in images.shape[2:])
    down, across = 2 * (top + height * rows) - 1, 2 * (left + width * columns) - 1
    size = len(images), *images.shape[2:], 1
    grid = torch.cat((across[:, None, :, None].expand(size), down[:, :, None, None].expand(size)), dim=3)
    return functional.grid_sample(images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
