"""Splits streamed from disk: worker processes decode the batches ahead of the training that consumes them."""

from __future__ import annotations

import dataclasses
import math
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vitbench.data.decode import Resize, decode, decode_whole
from vitbench.data.files import Files
from vitbench.utils.errors import UserError

AHEAD = 2
"""Batches that each worker prefetches."""

SHARED_MEMORY = "/dev/shm"  # noqa: S108  # where workers put tensors on Linux
AT_ONCE = 64

_Batch: TypeAlias = Tensor | npt.NDArray[np.uint8] | UserError


@dataclass(frozen=True)
class Stream:
    """Image files with their labels (n,), int64; each image is decoded on use to (3, size, size), uint8.

    With ``resize``, images are preprocessed as in evaluations of published weights (``decode_whole``).
    """

    files: Files
    labels: Tensor
    size: int
    resize: Resize | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, rows: Tensor) -> Stream:
        return dataclasses.replace(self, files=self.files.take(rows.tolist()), labels=self.labels[rows])

    def take(self, rows: Tensor, *, workers: int = 0) -> Tensor:
        """The images of these rows in memory, (len(rows), 3, size, size), uint8.

        Raises:
            UserError: a file is not a complete image; the message names it.
        """
        images = torch.empty((len(rows), 3, self.size, self.size), dtype=torch.uint8)
        start = 0
        for batch, _ in self.batches(rows, batch_size=AT_ONCE, boxes=None, workers=workers, device="cpu"):
            images[start : start + len(batch)] = batch
            start += len(batch)
        return images

    def batches(
        self,
        rows: Tensor,
        *,
        batch_size: int,
        boxes: Tensor | None,
        workers: int,
        device: torch.device | str,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Images (b, 3, size, size), uint8, and labels (b,) on ``device``, in the order of ``rows``.

        The batches depend on ``rows`` and ``boxes`` alone, not on the number of workers, and torch's global generators
        are not used. Workers start at the call, not at the first batch.

        Args:
            rows: indices into this split, (n,), int64.
            batch_size: images per batch; the last batch may have fewer.
            boxes: (n, 4), float32: top, left, height and width of the crop of image ``rows[i]``, as fractions of the
                image (see ``decode`` for non-square images). None: resize the shorter side and crop the centre.
            workers: number of processes that decode; 0: this process.
            device: device of the batches; transfers to a GPU use pinned memory.

        Raises:
            UserError: a file is not a complete image; the message names it.
            ValueError: the number of boxes is not the number of rows, boxes are combined with ``resize``, or
                ``batch_size`` is below 1.
        """
        wrong_boxes = boxes is not None and (boxes.shape != (len(rows), 4) or self.resize is not None)
        if batch_size < 1 or workers < 0 or wrong_boxes:
            shape = None if boxes is None else tuple(boxes.shape)
            raise ValueError(f"batch_size {batch_size}, workers {workers}, boxes {shape} for {len(rows)} rows")
        if not len(rows):
            return iter(())
        index = rows.cpu().numpy()
        workers = min(workers, math.ceil(len(index) / batch_size))
        share = workers > 0 and _fits_shared_memory(batch_size * 3 * self.size**2 * (AHEAD * workers + 1))
        decoder = _Decoder(self, index, None if boxes is None else boxes.cpu().numpy(), batch_size, share)
        pin = torch.device(device).type == "cuda"
        with warnings.catch_warnings():  # the caller may choose more workers than cores
            warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
            # Python >= 3.12 warns that a fork copies locks of other threads; workers use none of torch's
            warnings.filterwarnings("ignore", r"This process .* is multi-threaded", DeprecationWarning)
            loader = iter(
                DataLoader(
                    decoder,
                    batch_size=None,  # an item of the decoder is a batch
                    num_workers=workers,
                    collate_fn=_identity,
                    pin_memory=pin and share,
                    prefetch_factor=AHEAD if workers else None,
                    multiprocessing_context="fork" if workers else None,
                    generator=torch.Generator(),  # otherwise it would draw from the global generator
                )
            )
        return self._on_device(loader, torch.from_numpy(index), batch_size, device, pin=pin)

    def _on_device(
        self, loader: Iterator[_Batch], rows: Tensor, batch_size: int, device: torch.device | str, *, pin: bool
    ) -> Iterator[tuple[Tensor, Tensor]]:
        try:
            for batch, chunk in zip(loader, torch.split(rows, batch_size), strict=True):
                if isinstance(batch, UserError):
                    raise UserError(str(batch))  # a copy: the original's traceback and this frame would form a cycle
                images = torch.from_numpy(batch) if isinstance(batch, np.ndarray) else batch
                yield images.to(device, non_blocking=pin), self.labels[chunk].to(device, non_blocking=pin)
        finally:
            del loader  # ends the workers at once; the garbage collector would wait up to 5 s for each


class _Decoder(Dataset[_Batch]):
    """Decoded batches by index. Runs in the workers, which call no torch operation."""

    def __init__(
        self,
        stream: Stream,
        rows: npt.NDArray[np.int64],
        boxes: npt.NDArray[np.float32] | None,
        batch_size: int,
        share: bool,
    ) -> None:
        self.files, self.size, self.resize = stream.files, stream.size, stream.resize
        self.rows, self.boxes, self.batch_size, self.share = rows, boxes, batch_size, share

    def __len__(self) -> int:
        return math.ceil(len(self.rows) / self.batch_size)

    def __getitem__(self, index: int) -> _Batch:
        first = index * self.batch_size
        rows = self.rows[first : first + self.batch_size]
        images = np.empty((len(rows), 3, self.size, self.size), dtype=np.uint8)
        try:
            for i, row in enumerate(rows):
                file = self.files[int(row)]
                if self.resize is None:
                    box: Sequence[float] | None = None if self.boxes is None else self.boxes[first + i].tolist()
                    image = decode(file, self.size, box)
                else:
                    image = decode_whole(file, self.size, self.resize)
                images[i] = image.transpose(2, 0, 1)
        except (
            UserError
        ) as error:  # returned, because DataLoader puts a worker's traceback into the message of an exception
            return error
        return torch.from_numpy(images) if self.share else images


def _identity(batch: Any) -> Any:
    return batch


def _fits_shared_memory(size: int) -> bool:
    """Whether shared memory has space for twice ``size`` bytes; if not, batches are sent through a pipe.

    A container often has only 64 MiB.
    """
    try:
        disk = os.statvfs(SHARED_MEMORY)
    except OSError:
        return False
    return 2 * size <= disk.f_bavail * disk.f_frsize
