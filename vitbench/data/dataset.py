"""Images and labels, in memory or streamed, and the statistics that normalise them."""

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
        """The images of some rows, as ``Stream.take`` gives them."""
        return self.images[rows]


@dataclass(frozen=True)
class Dataset:
    """Three splits; ``mean`` and ``std`` (channels,) are the training split's, in the images' raw units.

    Of a subset they are those of the whole training split; of a stream those of ``SAMPLE`` of its images.
    """

    spec: DataSpec
    train: Split | Stream
    val: Split | Stream
    test: Split | Stream
    mean: Tensor
    std: Tensor

    def with_train(self, rows: Tensor) -> Dataset:
        """Only these rows of the training split; all else as it is."""
        spec = dataclasses.replace(self.spec, num_train=len(rows))
        return dataclasses.replace(self, spec=spec, train=self.train.subset(rows))


SAMPLE = 1024
"""Training images from which a stream's statistics are taken, evenly spaced over the classes."""

VALUES_AT_ONCE = 2**21


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
    test_groups: tuple[tuple[str, int], ...] = (),
) -> Dataset:
    """Derives the spec and the normalisation from splits in memory."""
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
    """What the labels of train, val and test say of the data set, and what the caller knows."""
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
    """Mean and standard deviation of each channel, in the raw unit; a constant channel gets the deviation 1."""
    return _statistics(torch.split(images, max(1, VALUES_AT_ONCE // images[0].numel())))


def sample_statistics(stream: Stream, *, workers: int = 0) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel over ``SAMPLE`` images, the same for everybody.

    Raises:
        UserError: one of them is no complete image; it is named.
    """
    count = min(len(stream), SAMPLE)
    rows = torch.arange(count) * len(stream) // count
    batches = stream.batches(rows, batch_size=8, boxes=None, workers=workers, device="cpu")
    return _statistics(images for images, _ in batches)


def _statistics(parts: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    count = 0
    total = squares = torch.zeros((), dtype=torch.float64)
    for part in parts:  # a large data set would not fit a second time as float64
        values = part.double()
        total = total + values.sum(dim=(0, 2, 3))
        squares = squares + values.square().sum(dim=(0, 2, 3))
        count += part.numel() // part.shape[1]
    mean = total / count
    std = (squares / count - mean.square()).clamp_min(0).sqrt()
    return mean.float(), torch.where(std > 1e-6, std, torch.ones_like(std)).float()
