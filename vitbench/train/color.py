"""What may happen to the colours of a batch: the operations of PIL that RandAugment draws from, on tensors.

All take and return (batch, 3, height, width), float32 from 0 to 255; where there is a strength, one for each image.
Values stay fractions where PIL would round them.
"""

from __future__ import annotations

from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

Images: TypeAlias = Float[Tensor, "batch 3 height width"]
Strengths: TypeAlias = Float[Tensor, " batch"]

LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in grey (ITU-R 601), as in PIL."""


def grey(images: Images) -> Float[Tensor, "batch 1 height width"]:
    return (images * images.new_tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True)


def toward(images: Images, other: Tensor, factor: Strengths) -> Images:
    """``factor`` 1 is the image, 0 the other; beyond 1 away from it."""
    return torch.lerp(other.expand_as(images), images, factor[:, None, None, None]).clamp(0, 255)


def brightness(images: Images, factor: Strengths) -> Images:
    return toward(images, torch.zeros_like(images[:, :1]), factor)


def color(images: Images, factor: Strengths) -> Images:
    return toward(images, grey(images), factor)


def contrast(images: Images, factor: Strengths) -> Images:
    return toward(images, grey(images).mean(dim=(2, 3), keepdim=True), factor)


def sharpness(images: Images, factor: Strengths) -> Images:
    """Toward a mean over 3×3 pixels in which the middle counts five times; the border stays."""
    kernel = images.new_ones(3, 1, 3, 3)
    kernel[:, :, 1, 1] = 5
    smooth = images.clone()
    if min(images.shape[2:]) > 2:
        smooth[:, :, 1:-1, 1:-1] = functional.conv2d(images, kernel / 13, groups=3)
    return toward(images, smooth, factor)


def autocontrast(images: Images) -> Images:
    """Each channel from 0 to 255, unless it is flat."""
    low, high = images.amin(dim=(2, 3), keepdim=True), images.amax(dim=(2, 3), keepdim=True)
    flat = high <= low
    return torch.where(flat, images, (images - low) * (255 / torch.where(flat, 1, high - low)))


def equalize(images: Images) -> Images:
    """Each channel's levels spread so that as many pixels fall on each, by PIL's table."""
    levels = images.round().clamp(0, 255).long().flatten(0, 1).flatten(1)
    counts = torch.zeros(len(levels), 256, dtype=torch.long, device=images.device)
    counts.scatter_add_(1, levels, torch.ones_like(levels))
    brightest = counts.gather(1, levels.amax(dim=1, keepdim=True))
    step = (levels.shape[1] - brightest) // 255
    before = counts.cumsum(1) - counts
    table = ((before + step // 2) // step.clamp_min(1)).clamp(0, 255)
    spread = table.gather(1, levels).to(images.dtype).view_as(images)
    return torch.where(step.view(*images.shape[:2], 1, 1) > 0, spread, images)


def posterize(images: Images, bits: int) -> Images:
    """The ``bits`` highest of the eight."""
    step = 1 << (8 - bits)
    return torch.floor(images / step) * step


def solarize(images: Images, threshold: float) -> Images:
    """The negative of all from the threshold on."""
    return torch.where(images >= threshold, 255 - images, images)
