"""Images that stay on disk: decoded batch by batch in worker processes, ahead of the training that consumes them."""

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
"""Batches that each worker prepares before they are asked for."""

SHARED_MEMORY = "/dev/shm"  # noqa: S108  # where workers put tensors on Linux
AT_ONCE = 64

_Batch: TypeAlias = Tensor | npt.NDArray[np.uint8] | UserError


@dataclass(frozen=True)
class Stream:
    """Image files and their labels (n,), int64; an image is (3, size, size), uint8. No image is kept in memory.

    With ``resize`` images come as evaluations of published weights make them (``decode_whole``), not as training does.
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
        """The images of a few rows, (len(rows), 3, size, size), in memory.

        Raises:
            UserError: a file is no complete image; it is named.
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

        What comes follows from ``rows`` and ``boxes`` alone, not from the number of workers, and no generator of
        torch's is touched. Workers start at the call, not at the first batch.

        Args:
            rows: (n,), int64, of this split; the caller's draw.
            batch_size: images in a batch; the last may have fewer.
            boxes: (n, 4), float32: top, left, height and width of what is cut out of image ``rows[i]`` and resized, as
                fractions of the image (of one that is no square: see ``decode``). None: the shorter side is resized and
                the centre cut out.
            workers: processes that decode; 0: this one does.
            device: where the batches go; pinned memory on the way to a GPU.

        Raises:
            UserError: a file is no complete image; it is named.
            ValueError: as many boxes as rows are needed, and one image a batch or more; with ``resize`` no boxes.
        """
        misfit = boxes is not None and (boxes.shape != (len(rows), 4) or self.resize is not None)
        if batch_size < 1 or workers < 0 or misfit:
            shape = None if boxes is None else tuple(boxes.shape)
            raise ValueError(f"batch_size {batch_size}, workers {workers}, boxes {shape} for {len(rows)} rows")
        if not len(rows):
            return iter(())
        index = rows.cpu().numpy()
        workers = min(workers, math.ceil(len(index) / batch_size))
        share = workers > 0 and _fits(batch_size * 3 * self.size**2 * (AHEAD * workers + 1))
        decoder = _Decoder(self, index, None if boxes is None else boxes.cpu().numpy(), batch_size, share)
        pin = torch.device(device).type == "cuda"
        with warnings.catch_warnings():  # more workers than this process has cores: the caller's choice
            warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
            # Python 3.12 on: what it warns of are locks of other threads, and workers take none of torch's
            warnings.filterwarnings("ignore", r"This process .* is multi-threaded", DeprecationWarning)
            loader = iter(
                DataLoader(
                    decoder,
                    batch_size=None,  # an item of the decoder is a batch
                    num_workers=workers,
                    collate_fn=_as_it_is,
                    pin_memory=pin and share,
                    prefetch_factor=AHEAD if workers else None,
                    multiprocessing_context="fork" if workers else None,
                    generator=torch.Generator(),  # else it would draw from the global one
                )
            )
        return self._delivered(loader, torch.from_numpy(index), batch_size, device, pin=pin)

    def _delivered(
        self, loader: Iterator[_Batch], rows: Tensor, batch_size: int, device: torch.device | str, *, pin: bool
    ) -> Iterator[tuple[Tensor, Tensor]]:
        try:
            for batch, chunk in zip(loader, torch.split(rows, batch_size), strict=True):
                if isinstance(batch, UserError):
                    raise UserError(str(batch))  # raised itself, it would hold this frame, and the frame it
                images = torch.from_numpy(batch) if isinstance(batch, np.ndarray) else batch
                yield images.to(device, non_blocking=pin), self.labels[chunk].to(device, non_blocking=pin)
        finally:
            del loader  # ends the workers at once; left to the garbage collector they would be waited for, 5 s each


class _Decoder(Dataset[_Batch]):
    """Item i is batch i; lives in the workers, which run no operation of torch's."""

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
        except UserError as error:  # a value: what a worker raises would come with its traceback as its message
            return error
        return torch.from_numpy(images) if self.share else images


def _as_it_is(batch: Any) -> Any:
    return batch


def _fits(wanted: int) -> bool:
    """Whether shared memory holds that many bytes; a container often has 64 MiB. If not, batches come up a pipe."""
    try:
        room = os.statvfs(SHARED_MEMORY)
    except OSError:
        return False
    return 2 * wanted <= room.f_bavail * room.f_frsize
