"""The batches of a training run: order, augmentation, normalisation, and the time spent waiting for data.

All random choices of an epoch are drawn before it, one row per image and from a separate stream per augmentation. What
happens to an image therefore does not depend on the batch size, the storage of the images or other augmentations.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vitbench.data.dataset import Dataset, Split
from vitbench.data.stream import Stream
from vitbench.declare.train import TrainConfig
from vitbench.devices import device_of
from vitbench.train import augment, rand_augment, random_erasing
from vitbench.train.mixup import Mixer
from vitbench.train.random_crops import cut_out, draw_boxes, mirrored
from vitbench.train.seeds import generator
from vitbench.utils.threads import cores

AUGMENT_AT_ONCE = 8192
"""Maximum number of images augmented and normalised at once."""

VALUES_AT_ONCE = 2**26
"""Maximum number of pixel values augmented at once: 256 MiB of float32."""

CROP_RATIO = (3 / 4, 4 / 3)
"""Width over height of a random resized crop, in pixels (Szegedy et al. 2015)."""

MAX_LOADERS = 8


@dataclass(frozen=True)
class Normalise:
    mean: Tensor  # (channels,)
    std: Tensor

    def __call__(self, images: Tensor) -> Tensor:
        """Raw images (n, c, h, w) as float32 with mean 0 and deviation 1 over the training split."""
        return (images.float() - self.mean[:, None, None]) / self.std[:, None, None]


@dataclass(frozen=True)
class _Choices:
    """The random choices of an epoch, one row per image."""

    shifts: Tensor
    flips: Tensor
    boxes: Tensor | None
    operations: rand_augment.Draws | None
    erasures: random_erasing.Erasures | None


class BatchLoader:
    """The batches of a training run.

    Attributes:
        batch_size: images per step: the recipe's batch size times ``accumulate``, at most the whole split.
        per_epoch: steps per epoch; an incomplete last batch is dropped.
        wait_s: seconds that the training has waited so far for loading, decoding and augmentation on the CPU.
    """

    def __init__(self, dataset: Dataset, config: TrainConfig, *, seed: int, device: str) -> None:
        spec = dataset.spec
        self.config, self.device = config, device
        self.split: Split | Stream = dataset.train
        self.storage = storage_device(dataset, device)
        self.batch_size = min(config.batch_size * config.accumulate, len(dataset.train))
        self.per_epoch = len(dataset.train) // self.batch_size
        self.normalise = Normalise(dataset.mean.to(device), dataset.std.to(device))
        self.wait_s = 0.0
        self.shift_px = config.shift_px if spec.shift else 0
        self.flip = config.flip and spec.flip
        self.crop = config.crop == "resized" and spec.shift
        self.operations = config.rand_augment if spec.shift else 0
        self.erase = config.erase if spec.shift else 0.0
        cutmix = config.cutmix if spec.shift else 0.0
        self.mixer = None
        if config.mixup or cutmix:
            self.mixer = Mixer(mixup=config.mixup, cutmix=cutmix, num_classes=spec.num_classes, seed=seed)
        names = ("order", "augmentation", "crop", "operations", "erasing")
        self._streams = tuple(generator(seed, name) for name in names)
        self._order, self._moves, self._crops, self._operations, self._erasing = self._streams
        self._noise = generator(seed, "noise", device)
        self._first = 0  # batches of the next epoch to skip, set by `restore`
        self._mark()
        example = torch.empty(0, spec.in_chans, 1, 1, dtype=torch.uint8)  # a stream decodes to bytes
        if isinstance(self.split, Split):
            self.split = self.split.to(self.storage)
            self.padded = augment.pad(self.split.images, self.shift_px)
            example = self.split.images
        self.names = rand_augment.operations(example)
        at_once = min(AUGMENT_AT_ONCE, VALUES_AT_ONCE // (spec.in_chans * spec.img_size**2))
        self.at_once = max(1, at_once // self.batch_size) * self.batch_size

    def _mark(self) -> None:
        """Remembers the state of the generators at the start of an epoch."""
        self._at_start = [stream.get_state() for stream in self._streams]
        self._taken = 0

    def state(self) -> dict[str, Any]:
        """The state between two batches: the generators at the start of the epoch, and the batches read since."""
        return {
            "began": self._at_start,
            "taken": self._taken,
            "noise": self._noise.get_state(),
            "mixer": None if self.mixer is None else self.mixer.state(),
            "wait_s": self.wait_s,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restores a state; the next ``epoch`` yields the remaining batches of the interrupted one, possibly none."""
        for stream, began in zip(self._streams, state["began"], strict=True):
            stream.set_state(began)
        self._noise.set_state(state["noise"])
        if self.mixer is not None:
            self.mixer.restore(state["mixer"])
        self._first, self.wait_s = state["taken"], state["wait_s"]

    def epoch(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Normalised images (batch, c, h, w) and labels (batch,), or soft targets (batch, classes)."""
        batches = self._epoch()
        while True:
            start = time.perf_counter()
            batch = next(batches, None)
            self.wait_s += time.perf_counter() - start
            if batch is None:
                self._mark()
                return
            self._taken += 1
            yield batch

    def _epoch(self) -> Iterator[tuple[Tensor, Tensor]]:
        self._mark()
        self._taken, self._first = self._first, 0
        rows = torch.randperm(len(self.split), generator=self._order)[: self.per_epoch * self.batch_size]
        choices = self._choose()
        if self._taken == self.per_epoch:
            return
        first = self._taken * self.batch_size
        if isinstance(
            self.split, Split
        ):  # from the start of a chunk, so that rounding is the same as without the interruption
            rows = rows[first // self.at_once * self.at_once :]
            batches = self._stored(self.split, rows, choices)
        else:
            rows = rows[first:]
            batches = self._streamed(self.split, rows, choices)
        skipped = self._taken - (self.per_epoch - len(rows) // self.batch_size)
        pairs = zip(batches, torch.split(rows, self.batch_size), strict=True)
        for (images, labels), batch in itertools.islice(pairs, skipped, None):
            if choices.erasures is not None:
                random_erasing.erase(images, choices.erasures, batch, self._noise)
            yield (images, labels) if self.mixer is None else self.mixer(images, labels)

    def _choose(self) -> _Choices:
        count = len(self.split)
        shifts, flips = augment.draw(count, shift_px=self.shift_px, flip=self.flip, generator=self._moves)
        scale, draws = self.config.crop_scale, None
        if self.operations:
            draws = rand_augment.draw(count, self.operations, self.names, self._operations)
        return _Choices(
            shifts,
            flips,
            draw_boxes(count, area=scale, ratio=CROP_RATIO, generator=self._crops) if self.crop else None,
            draws,
            random_erasing.draw(count, probability=self.erase, generator=self._erasing) if self.erase else None,
        )

    def _stored(self, split: Split, rows: Tensor, choices: _Choices) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of a split in memory, augmented many at a time."""
        shifts, flips = choices.shifts.to(self.storage), choices.flips.to(self.storage)
        for part in torch.split(rows, self.at_once):
            chunk = part.to(self.storage)
            raw = augment.take(self.padded, chunk, shifts[chunk], flips[chunk], shift_px=self.shift_px).to(self.device)
            if choices.boxes is not None:
                raw = cut_out(
                    raw, mirrored(choices.boxes[part], choices.flips[part])
                )  # a stream is cropped before it is flipped
            images, labels = self._finished(raw, part, choices), split.labels[chunk].to(self.device)
            yield from zip(torch.split(images, self.batch_size), torch.split(labels, self.batch_size), strict=True)

    def _streamed(self, stream: Stream, rows: Tensor, choices: _Choices) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of a stream, augmented as they are decoded; the decoder has already cropped them."""
        boxes = None if choices.boxes is None else choices.boxes[rows]
        batches = stream.batches(
            rows, batch_size=self.batch_size, boxes=boxes, workers=loaders(self.device), device=self.device
        )
        for (raw, labels), part in zip(batches, torch.split(rows, self.batch_size), strict=True):
            shifts, flips = choices.shifts[part].to(raw.device), choices.flips[part].to(raw.device)
            padded, every = augment.pad(raw, self.shift_px), torch.arange(len(part), device=raw.device)
            moved = augment.take(padded, every, shifts, flips, shift_px=self.shift_px)
            yield self._finished(moved, part, choices), labels

    def _finished(self, raw: Tensor, rows: Tensor, choices: _Choices) -> Tensor:
        if choices.operations is not None:
            raw = rand_augment.apply(raw.float(), choices.operations[rows], self.config.rand_magnitude)
        return self.normalise(raw)


def storage_device(dataset: Dataset, device: str) -> str:
    """The device that stores the images: ``device``, or the CPU if they take over half of a GPU's free memory."""
    if torch.device(device).type != "cuda":
        return device
    images = [split.images for split in (dataset.train, dataset.val) if isinstance(split, Split)]
    free = device_of(device).free_memory() or 0
    return device if 2 * sum(i.nbytes for i in images) <= free / 2 else "cpu"  # twice: with and without a border


def loaders(device: str) -> int:
    """Number of processes that decode a stream: one for training on the CPU, the other cores for a GPU."""
    if torch.device(device).type == "cpu":
        return 1
    return max(1, min(MAX_LOADERS, cores() - 1))
