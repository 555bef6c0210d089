"""Data sets at another resolution (axis ``data.scale``)."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.nn import functional

from vitbench.data.dataset import Dataset, Split, channel_statistics
from vitbench.declare.sizes import scaled
from vitbench.utils.errors import UserError

IMAGES_AT_ONCE = 1024


def resize(dataset: Dataset, scale: float) -> Dataset:
    """The data set with sides scaled by ``scale`` and the statistics of the resized training split.

    Raises:
        UserError: the images are streamed.
    """
    if scale == 1:
        return dataset
    side = scaled(dataset.spec.img_size, scale)
    splits = {}
    for part in ("train", "val", "test"):
        split = getattr(dataset, part)
        if not isinstance(split, Split):
            raise UserError(
                f"data.scale={scale:g}: {dataset.spec.name} is streamed at one size: take folder:PATH@SIZE, or scale=1"
            )
        splits[part] = Split(resized(split.images, side), split.labels)
    mean, std = channel_statistics(splits["train"].images)
    return dataclasses.replace(
        dataset, spec=dataclasses.replace(dataset.spec, img_size=side), **splits, mean=mean, std=std
    )


def resized(images: Tensor, side: int) -> Tensor:
    """Images (n, c, h, w) resized bilinearly with antialiasing to (n, c, side, side), in the same dtype."""
    parts = []
    for chunk in torch.split(images, IMAGES_AT_ONCE):
        floats = functional.interpolate(chunk.float(), (side, side), mode="bilinear", antialias=True)
        parts.append(floats.to(images.dtype) if images.is_floating_point() else floats.round().to(images.dtype))
    return torch.cat(parts)
