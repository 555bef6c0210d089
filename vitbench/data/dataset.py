"""Data sets of three splits, in memory or streamed, with the channel statistics that normalise them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vitbench.data.spec import DataSpec
from vitbench.data.stream import Stream


@dataclass(frozen=True)
class Split:
    """Raw images (n, channels, height, width), uint8 or float32, and labels (n,), int64."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> Split:
        return Split(self.images.to(device), self.labels.to(device))

    def subset(self, rows: Tensor) -> Split:
        return Split(self.images[rows], self.labels[rows])

    def take(self, rows: Tensor) -> Tensor:
        """The images of these rows, as in ``Stream.take``."""
        return self.images[rows]


@dataclass(frozen=True)
class Dataset:
    """Three splits, and the training split's ``mean`` and ``std`` (channels,) in raw pixel units.

    A subset keeps the statistics of the full training split. A stream's are computed over ``SAMPLE`` images.
    """

    spec: DataSpec
    train: Split | Stream
    val: Split | Stream
    test: Split | Stream
    mean: Tensor
    std: Tensor

    def with_train(self, rows: Tensor) -> Dataset:
        """The data set with only these rows of its training split."""
        spec = dataclasses.replace(self.spec, num_train=len(rows))
        return dataclasses.replace(self, spec=spec, train=self.train.subset(rows))


SAMPLE = 1024
"""Number of training images for a stream's statistics, evenly spaced over the classes."""

VALUES_AT_ONCE = 2**21


def make_split(images: npt.NDArray[Any], labels: npt.NDArray[Any], rows: Sequence[int] | None = None) -> Split:
    """A split of the given rows (default: all) of images (n, channels, height, width) and labels (n,)."""
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
    test_groups: tuple[tuple[str, int], ...] = (),
) -> Dataset:
    """A data set of splits in memory, with its spec and channel statistics."""
    _, in_chans, img_size, _ = train.images.shape
    spec = make_spec(
        name=name,
        version=version,
        classes=classes,
        img_size=img_size,
        in_chans=in_chans,
        labels={"train": train.labels, "val": val.labels, "test": test.labels},
        shift=shift,
        flip=flip,
        test_groups=test_groups,
    )
    return Dataset(spec, train, val, test, *channel_statistics(train.images))


def make_embedded(spec: DataSpec, train: Split, val: Split, test: Split) -> Dataset:
    """An embedded data set; its sizes and chance accuracy are derived from the splits, not copied from ``spec``."""
    return make_dataset(
        name=spec.name,
        version=spec.version,
        classes=spec.classes,
        train=train,
        val=val,
        test=test,
        shift=spec.shift,
        flip=spec.flip,
        test_groups=spec.test_groups,
    )


def make_spec(
    *,
    name: str,
    version: str,
    classes: tuple[str, ...],
    img_size: int,
    in_chans: int,
    labels: Mapping[str, Tensor],
    shift: bool,
    flip: bool,
    test_groups: tuple[tuple[str, int], ...] = (),
) -> DataSpec:
    """The spec, with sizes and chance accuracy derived from the labels of train, val and test."""
    return DataSpec(
        name=name,
        version=version,
        img_size=img_size,
        in_chans=in_chans,
        num_classes=len(classes),
        classes=classes,
        num_train=len(labels["train"]),
        num_val=len(labels["val"]),
        num_test=len(labels["test"]),
        shift=shift,
        flip=flip,
        chance=float(labels["test"].bincount().max()) / len(labels["test"]),
        test_groups=test_groups,
    )


def channel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (channels,) in raw units; a constant channel gets a deviation of 1."""
    return _statistics(torch.split(images, max(1, VALUES_AT_ONCE // images[0].numel())))


def sample_statistics(stream: Stream, *, workers: int = 0) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (channels,) over a fixed sample of ``SAMPLE`` images.

    Raises:
        UserError: a file is not a complete image; the message names it.
    """
    count = min(len(stream), SAMPLE)
    rows = torch.arange(count) * len(stream) // count
    batches = stream.batches(rows, batch_size=8, boxes=None, workers=workers, device="cpu")
    return _statistics(images for images, _ in batches)


def _statistics(parts: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    count = 0
    total = squares = torch.zeros((), dtype=torch.float64)
    for part in parts:  # a float64 copy of a large data set may not fit into memory
        values = part.double()
        total = total + values.sum(dim=(0, 2, 3))
        squares = squares + values.square().sum(dim=(0, 2, 3))
        count += part.numel() // part.shape[1]
    mean = total / count
    std = (squares / count - mean.square()).clamp_min(0).sqrt()
    return mean.float(), torch.where(std > 1e-6, std, torch.ones_like(std)).float()
