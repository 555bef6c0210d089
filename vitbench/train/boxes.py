"""Rectangles at random, as shares of an image: what a random resized crop shows and what random erasing covers."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

TRIES = 10
"""Draws of a size for each rectangle, as in torchvision; the first that fits is taken, and the whole image if none."""


def draw_boxes(
    count: int, *, area: tuple[float, float], ratio: tuple[float, float], generator: torch.Generator
) -> Float[Tensor, "count 4"]:
    """Rectangles (top, left, height, width), each a fraction of the image's side, anywhere inside the image.

    The share of the area is uniform, the logarithm of width over height too (Szegedy et al. 2015; torchvision's
    ``RandomResizedCrop``); sizes that stick out are drawn again, so large areas come out rarer. The number of draws
    does not depend on what is drawn.
    """
    height, width = torch.ones(count), torch.ones(count)
    waiting = torch.ones(count, dtype=torch.bool)
    low, high = map(math.log, ratio)
    for _ in range(TRIES):
        share, slant = torch.rand(2, count, generator=generator)
        share, slant = area[0] + (area[1] - area[0]) * share, torch.exp(low + (high - low) * slant)
        across, down = (share * slant).sqrt(), (share / slant).sqrt()
        fits = waiting & (across <= 1) & (down <= 1)
        height, width = torch.where(fits, down, height), torch.where(fits, across, width)
        waiting &= ~fits
    top, left = torch.rand(2, count, generator=generator)
    return torch.stack((top * (1 - height), left * (1 - width), height, width), dim=1)


def mirrored(boxes: Float[Tensor, "count 4"], flips: Tensor) -> Float[Tensor, "count 4"]:
    """The same parts of images of which those at ``flips`` have been mirrored."""
    top, left, height, width = boxes.unbind(1)
    return torch.stack((top, torch.where(flips, 1 - left - width, left), height, width), dim=1)


def cut_out(images: Tensor, boxes: Float[Tensor, "batch 4"]) -> Float[Tensor, "batch chans height width"]:
    """Each image's rectangle at the size of the image, bilinear, in float32: a random resized crop of (n, c, h, w).

    What is shown is never smaller than what it was, so there is nothing to smooth beforehand.
    """
    device = images.device
    top, left, height, width = boxes.to(device).T[:, :, None]
    rows, columns = ((torch.arange(size, device=device) + 0.5) / size for size in images.shape[2:])
    down, across = 2 * (top + height * rows) - 1, 2 * (left + width * columns) - 1
    size = len(images), *images.shape[2:], 1
    grid = torch.cat((across[:, None, :, None].expand(size), down[:, :, None, None].expand(size)), dim=3)
    return functional.grid_sample(images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
