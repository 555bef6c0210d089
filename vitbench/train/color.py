"""Colour operations of RandAugment on batches, equal to PIL's except that values are not rounded.

All take and return (batch, 3, height, width), float32 from 0 to 255. ``factor`` has one value per image.
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
"""Weights of red, green and blue in grey (ITU-R 601), as in PIL."""


def grey(images: Images) -> Float[Tensor, "batch 1 height width"]:
    return (images * images.new_tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True)


def interpolate(images: Images, degenerate: Tensor, factor: Strengths) -> Images:
    """Images blended with degenerate ones: factor 0 is the degenerate image, 1 the image, above 1 extrapolates."""
    return torch.lerp(degenerate.expand_as(images), images, factor[:, None, None, None]).clamp(0, 255)


def brightness(images: Images, factor: Strengths) -> Images:
    return interpolate(images, torch.zeros_like(images[:, :1]), factor)


def color(images: Images, factor: Strengths) -> Images:
    return interpolate(images, grey(images), factor)


def contrast(images: Images, factor: Strengths) -> Images:
    return interpolate(images, grey(images).mean(dim=(2, 3), keepdim=True), factor)


def sharpness(images: Images, factor: Strengths) -> Images:
    """Images blended with a 3×3 mean whose centre has weight 5; the border is unchanged."""
    kernel = images.new_ones(3, 1, 3, 3)
    kernel[:, :, 1, 1] = 5
    smooth = images.clone()
    if min(images.shape[2:]) > 2:
        smooth[:, :, 1:-1, 1:-1] = functional.conv2d(images, kernel / 13, groups=3)
    return interpolate(images, smooth, factor)


def autocontrast(images: Images) -> Images:
    """Each channel stretched to 0 to 255, unless it is constant."""
    low, high = images.amin(dim=(2, 3), keepdim=True), images.amax(dim=(2, 3), keepdim=True)
    flat = high <= low
    return torch.where(flat, images, (images - low) * (255 / torch.where(flat, 1, high - low)))


def equalize(images: Images) -> Images:
    """Each channel's histogram equalised with PIL's lookup table."""
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
    """Values reduced to their ``bits`` highest bits."""
    step = 1 << (8 - bits)
    return torch.floor(images / step) * step


def solarize(images: Images, threshold: float) -> Images:
    """Values inverted from the threshold upwards."""
    return torch.where(images >= threshold, 255 - images, images)
