"""Images and labels in memory, and the statistics that normalise them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vitbench.data.spec import DataSpec


@dataclass(frozen=True)
class Split:
    """Raw images (n, channels, height, width), uint8 or float32, and labels (n,), int64."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> Split:
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Dataset:
    """Three splits; ``mean`` and ``std`` (channels,) are the training split's, in the images' raw units."""

    spec: DataSpec
    train: Split
    val: Split
    test: Split
    mean: Tensor
    std: Tensor


def make_split(images: npt.NDArray[Any], labels: npt.NDArray[Any], rows: Sequence[int] | None = None) -> Split:
    """The named rows (default: all) of images (n, channels, height, width) and labels (n,)."""
    index = np.arange(len(labels)) if rows is None else np.asarray(rows, dtype=np.int64)
    return Split(
        torch.from_numpy(np.ascontiguousarray(images[index])), torch.from_numpy(labels[index].astype(np.int64))
    )


def make_dataset(
    *,
    name: str,
    version: str,
    classes: tuple[str, ...],
    train: Split,
    val: Split,
    test: Split,
    shift: bool,
    flip: bool,
) -> Dataset:
    """Derives the spec and the normalisation from the splits."""
    _, in_chans, img_size, _ = train.images.shape
    spec = DataSpec(
        name=name,
        version=version,
        img_size=img_size,
        in_chans=in_chans,
        num_classes=len(classes),
        classes=classes,
        num_train=len(train),
        num_val=len(val),
        num_test=len(test),
        shift=shift,
        flip=flip,
        chance=float(test.labels.bincount().max()) / len(test),
    )
    mean, std = channel_statistics(train.images)
    return Dataset(spec, train, val, test, mean, std)


def channel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel, in the raw unit; a constant channel gets the deviation 1."""
    total = torch.zeros(images.shape[1], dtype=torch.float64)
    squares = torch.zeros_like(total)
    for chunk in torch.split(images, 4096):  # a large data set would not fit a second time as float64
        values = chunk.double()
        total += values.sum(dim=(0, 2, 3))
        squares += values.square().sum(dim=(0, 2, 3))
    count = images.numel() / images.shape[1]
    mean = total / count
    std = (squares / count - mean.square()).clamp_min(0).sqrt()
    return mean.float(), torch.where(std > 1e-6, std, torch.ones_like(std)).float()
