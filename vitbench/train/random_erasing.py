"""Random erasing (Zhong et al. 2017): noise replaces a rectangle in some of the images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vitbench.train.random_crops import draw_boxes

AREA, RATIO = (0.02, 1 / 3), (0.3, 1 / 0.3)
"""Range of the share of the area, and of width over height, as in timm, with which DeiT was trained."""


@dataclass(frozen=True)
class Erasures:
    """The erasures of an epoch: for each image, whether a rectangle is erased, and which."""

    chosen: Tensor  # (n,), bool
    boxes: Tensor  # (n, 4): top, left, height, width, as fractions


def draw(count: int, *, probability: float, generator: torch.Generator) -> Erasures:
    """Erasures of ``count`` images; a rectangle is always drawn, so that it does not depend on the probability."""
    chosen = torch.rand(count, generator=generator) < probability
    return Erasures(chosen, draw_boxes(count, area=AREA, ratio=RATIO, generator=generator))


def erase(images: Tensor, erasures: Erasures, rows: Tensor, noise: torch.Generator) -> Tensor:
    """Normalised images (b, c, h, w) after the erasures at ``rows`` (b,), changed in place.

    The noise is N(0, 1) per pixel and channel (timm's mode ``pixel``), drawn from a generator on the images' device.
    """
    erased = erasures.chosen[rows].nonzero()[:, 0]  # on the CPU, to avoid a synchronisation with the device
    if not len(erased):
        return images
    device, size = images.device, images.shape[2:]
    box = erasures.boxes[rows[erased]]
    spans = []
    for side, pixels in enumerate(size):
        length = (box[:, 2 + side] * pixels).round().clamp(1, pixels)
        first = (box[:, side] / (1 - box[:, 2 + side]).clamp_min(1e-9) * (pixels - length)).round()
        position = torch.arange(pixels)
        spans.append((position >= first[:, None]) & (position < (first + length)[:, None]))
    inside = (spans[0][:, None, :, None] & spans[1][:, None, None, :]).to(device)
    erased = erased.to(device)
    drawn = torch.randn((len(erased), *images.shape[1:]), generator=noise, device=device)
    images[erased] = torch.where(inside, drawn, images[erased])
    return images
