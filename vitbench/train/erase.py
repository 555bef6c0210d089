"""Random erasing (Zhong et al. 2017): a rectangle of some images becomes noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vitbench.train.boxes import draw_boxes

AREA, RATIO = (0.02, 1 / 3), (0.3, 1 / 0.3)
"""Shares of the area and width over height, as in timm, which DeiT trains with."""


@dataclass(frozen=True)
class Erasures:
    """For each image of a data set: whether something is erased in this epoch, and where."""

    chosen: Tensor  # (n,), bool
    boxes: Tensor  # (n, 4): top, left, height, width, as shares


def draw(count: int, *, probability: float, generator: torch.Generator) -> Erasures:
    """Both are always drawn, so that a rectangle does not depend on the probability."""
    chosen = torch.rand(count, generator=generator) < probability
    return Erasures(chosen, draw_boxes(count, area=AREA, ratio=RATIO, generator=generator))


def erase(images: Tensor, erasures: Erasures, rows: Tensor, noise: torch.Generator) -> Tensor:
    """The normalised images (b, c, h, w) with normal noise where theirs, at ``rows`` (b,), say so; changed in place.

    Noise is N(0, 1) per pixel and channel (timm's mode ``pixel``), drawn from a generator on the images' device.
    """
    some = erasures.chosen[rows].nonzero()[:, 0]  # on the CPU: the device need not be waited for
    if not len(some):
        return images
    device, size = images.device, images.shape[2:]
    box = erasures.boxes[rows[some]]
    spans = []
    for side, pixels in enumerate(size):
        length = (box[:, 2 + side] * pixels).round().clamp(1, pixels)
        first = (box[:, side] / (1 - box[:, 2 + side]).clamp_min(1e-9) * (pixels - length)).round()
        at = torch.arange(pixels)
        spans.append((at >= first[:, None]) & (at < (first + length)[:, None]))
    inside = (spans[0][:, None, :, None] & spans[1][:, None, None, :]).to(device)
    some = some.to(device)
    drawn = torch.randn((len(some), *images.shape[1:]), generator=noise, device=device)
    images[some] = torch.where(inside, drawn, images[some])
    return images
