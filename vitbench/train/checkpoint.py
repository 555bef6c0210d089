"""A long training leaves its state on the disk now and then, so that it can go on where it stood.

A checkpoint is written whole or not at all, and read without running what a file says (``weights_only``). It is used by
the training that it is of, under the same version of torch, and refused otherwise: the training then starts over.

What it costs: nothing before ``EVERY_S``, then at most one percent of the time. A ViT-Ti with AdamW leaves 70 MB, which
a disk of 500 MB/s takes in 0.14 s, every 60 s (0.2 %); a ViT-B 1 GB in 2 s, which is why ``SHARE`` makes that 200 s.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

EVERY_S = 60.0
"""Seconds from one checkpoint to the next, at the least."""

SHARE = 0.01
"""Of the time, that writing may take: after a slow one the next is as much later."""

FORMAT = 1
"""Raised when the state of a training is put together in another way."""

ROOM = 2
"""Times its size must be free on the disk: a checkpoint never takes the place that records need."""


@dataclass
class TrainingCheckpoint:
    """Where a training leaves its state, and how often. One object is one piece of a training.

    Attributes:
        path: the file; where its folder does not exist, nothing is written.
        of: what determines the training: the id of its record.
        every_s: seconds from one to the next, at the least; slow writing stretches it (``SHARE``).
        resumed: how often the training has gone on from a checkpoint.
        refused: why the file that was there is not used; None if it is, or if there was none.
    """

    path: Path
    of: str
    every_s: float = EVERY_S
    resumed: int = field(default=0, init=False)
    refused: str | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._begun = time.monotonic()
        self._before_s = 0.0
        self._due = self._begun + self.every_s

    @property
    def total_seconds(self) -> float:
        """Since the training began, over its pieces; what was lost between a checkpoint and a crash does not count."""
        return self._before_s + time.monotonic() - self._begun

    def told(self) -> dict[str, Any]:
        """What a record says of it: nothing, if the training ran in one piece."""
        found = {"resumed": self.resumed or None, "started_over": self.refused}
        return {name: value for name, value in found.items() if value is not None}

    def due(self) -> bool:
        """Whether it is time for the next."""
        return time.monotonic() >= self._due

    def read(self) -> dict[str, Any] | None:
        """The state that was left, on the CPU; None if there is none that can be used, and ``refused`` says why."""
        if self.refused is not None or not self.path.exists():
            return None
        try:
            found = _opened(self.path, self._about())
        except _UnusableError as error:
            self.refuse(str(error))
            return None
        self.resumed, self._before_s = found["resumed"] + 1, found["total_seconds"]
        return dict(found["state"])

    def refuse(self, why: str) -> None:
        """The file is of no use: the training starts over."""
        self.refused = f"{self.path.name} {why}: the training started over"
        self.resumed, self._before_s = 0, 0.0

    def write(self, state: Mapping[str, Any]) -> bool:
        """Leaves the state, in the place of the one before; whether it could.

        A disk that is full or gone ends no training: the checkpoint before stays, and the next attempt is made in time.
        """
        start = time.monotonic()
        part = self.path.with_name(f"{self.path.stem}.{socket.gethostname()}-{os.getpid()}.part")
        whole = {
            "about": self._about(),
            "resumed": self.resumed,
            "total_seconds": self.total_seconds,
            "state": dict(state),
        }
        try:
            written = self._has_room(state)
            if written:
                with part.open("wb") as file:
                    torch.save(whole, file)
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(self.path)
                _sync(self.path.parent)
        except (OSError, RuntimeError) as error:  # torch's writer says RuntimeError of a full disk
            written = False
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            print(f"{self.path} could not be written: {error}", file=sys.stderr)  # noqa: T201  # kept if the job fails
        took = time.monotonic() - start
        self._due = start + took + self.every_s * max(1.0, took / (SHARE * EVERY_S))
        return written

    def _has_room(self, state: Mapping[str, Any]) -> bool:
        folder = self.path.parent
        return folder.is_dir() and shutil.disk_usage(folder).free > ROOM * sum(t.nbytes for t in tensors(state))

    def _about(self) -> dict[str, Any]:
        return {"format": FORMAT, "id": self.of, "torch": str(torch.__version__)}


class _UnusableError(Exception):
    """The message completes "the checkpoint …"."""


def _opened(path: Path, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:  # torch itself does not look at the checksums
            torn = archive.testzip()
        found = None if torn else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise _UnusableError(f"is damaged ({type(error).__name__})") from error  # anything can come of such a file
    if torn:
        raise _UnusableError(f"is damaged (checksum of {torn})")
    if not isinstance(found, Mapping) or not isinstance(found.get("about"), Mapping):
        raise _UnusableError("is no checkpoint of a training")
    for name, ours in wanted.items():
        if (theirs := found["about"].get(name)) != ours:
            raise _UnusableError(f"has {name} {theirs}, and this training {ours}")
    return found


def tensors(state: Any) -> Iterator[Tensor]:
    """All that a state holds, at any depth."""
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, Mapping):
        for value in state.values():
            yield from tensors(value)
    elif isinstance(state, list | tuple):
        for value in state:
            yield from tensors(value)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
