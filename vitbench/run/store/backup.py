"""A second copy of what a run has written, out of its trials' reach.

A trial is somebody's code and runs as the user who owns the results folder: nothing keeps it from emptying, replacing
or removing the records. The copy lies on the same disk in a file that has no name, and is gone with the process.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, TypeAlias

from vitbench.utils.errors import UserError

Signature: TypeAlias = tuple[int, int, int, int]

CHUNK = 2**24


class Spare:
    """What a file should hold, as long as only its writer changes it.

    Args:
        path: the file, whole; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._copy: IO[bytes] | None = None
        self._known: Signature | None = None
        with contextlib.suppress(OSError):  # no room for a copy: the run goes on without
            self._copy = tempfile.TemporaryFile(dir=path.parent, buffering=0)  # noqa: SIM115  # closed by ``give_up``
        if path.exists():
            fd = os.open(path, os.O_RDONLY)
            try:
                self._known = _signature(os.fstat(fd))
                if self._copy is not None:
                    _copy(fd, self._copy.fileno())
            except OSError:
                self.give_up()
            finally:
                os.close(fd)

    @property
    def intact(self) -> bool:
        """Whether the file is as its writer left it; where only its time differs, its bytes are looked at."""
        now = _signature(self.path)
        if now == self._known:
            return True
        if now is None or self._known is None or self._copy is None or now[:3] != self._known[:3]:
            return False
        with self.path.open("rb") as file:
            if not _equal(file.fileno(), self._copy.fileno()):
                return False
        self._known = now
        return True

    def append(self, write: Callable[[int, bytes], int], fd: int, data: bytes) -> int:
        """Has ``write`` append the data to the file behind ``fd``, and follows; a full disk gets the copy's room.

        Raises:
            UserError: of ``write``.
        """
        try:
            start = write(fd, data)
        except UserError:
            if not self.give_up():
                raise
            start = write(fd, data)
        finally:
            self._known = _signature(os.fstat(fd))
        if self._copy is not None:
            try:
                _put(self._copy.fileno(), data)
            except OSError:
                self.give_up()
        return start

    def give_up(self) -> bool:
        """Lets go of the copy, and of its place on the disk; returns whether there was one."""
        if self._copy is None:
            return False
        self._copy.close()
        self._copy = None
        return True

    def restore(self) -> str:
        """Puts the file back as it should be, and says in a sentence what had become of it.

        Raises:
            OSError: it cannot be written, or there is no copy.
        """
        if self._copy is None:
            raise OSError(0, "there was no room for a copy of it")
        became = "was removed"
        if os.path.lexists(self.path):
            names = (self.path.with_suffix(f".foreign{number or ''}{self.path.suffix}") for number in itertools.count())
            aside = self.path.rename(next(name for name in names if not os.path.lexists(name)))
            became = f"was changed, and is set aside as {aside.name}"
        part = self.path.with_suffix(".part")
        with part.open("wb") as file:
            _copy(self._copy.fileno(), file.fileno())
            os.fsync(file.fileno())
            part.rename(self.path)
            self._known = _signature(os.fstat(file.fileno()))
        sync_folder(self.path.parent)
        return f"{self.path} {became}, by something other than this run (a trial?); what had been recorded is put back"


def sync_folder(directory: Path) -> None:
    """Takes down to the disk which files the folder has."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _signature(file: Path | os.stat_result) -> Signature | None:
    """Of one content of one file; None: there is no file."""
    try:
        stat = file if isinstance(file, os.stat_result) else file.lstat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


def _copy(source: int, target: int) -> None:
    """All of a file, to the end of another one."""
    start = 0
    while data := os.pread(source, CHUNK, start):
        start += len(data)
        _put(target, data)


def _put(target: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(target, rest) :]


def _equal(one: int, other: int) -> bool:
    for start in itertools.count(0, CHUNK):
        data = os.pread(one, CHUNK, start)
        if data != os.pread(other, CHUNK, start):
            return False
        if not data:
            break
    return True
