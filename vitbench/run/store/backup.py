"""A file that only its writer may change, with a backup copy that trials cannot reach.

A trial is somebody's code and runs as the user who owns the results folder: it could empty, replace or remove the
records. The copy is a file without a name on the same disk, and disappears with the process.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
from pathlib import Path
from typing import IO

CHUNK = 2**24


class BackedUpFile:
    """A file that grows by ``append`` alone.

    Args:
        path: the file; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1  # stays open: what is written never goes to a file that replaced this one
        self._copy: IO[bytes] | None = None
        self._known = _signature(path)
        with contextlib.suppress(OSError):  # no space for a copy: the run goes on without one
            self._copy = tempfile.TemporaryFile(dir=path.parent, buffering=0)  # noqa: SIM115  # closed by `_drop_copy`
        if self._known is not None:
            try:
                self._fd = os.open(path, os.O_RDWR | os.O_APPEND)
                if self._copy is not None:
                    _copy_to_end(self._fd, self._copy.fileno())
            except OSError:
                self._drop_copy()

    @property
    def intact(self) -> bool:
        """Whether the file is as its writer left it; if only its time differs, the content decides."""
        now = _signature(self.path)
        if now == self._known:
            return True
        if now is None or self._known is None or self._copy is None or now[:3] != self._known[:3]:
            return False
        with self.path.open("rb") as file:
            if not _same_content(file.fileno(), self._copy.fileno()):
                return False
        self._known = now
        return True

    def append(self, data: bytes) -> int:
        """Appends the data and returns its offset; when this returns it is on the disk.

        Raises:
            OSError: it cannot be written. The file is left as it was.
        """
        if self._fd < 0:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            start = append_durably(self._fd, data)
        except OSError:
            if not self._drop_copy():
                raise
            start = append_durably(self._fd, data)  # in the space of the copy
        finally:
            self._known = _signature(os.fstat(self._fd))
        if self._copy is not None:
            try:
                _write_all(self._copy.fileno(), data)
            except OSError:
                self._drop_copy()
        return start

    def close(self) -> None:
        """Closes the file and gives up the copy."""
        self._close_file()
        self._drop_copy()

    def _close_file(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _drop_copy(self) -> bool:
        """Gives up the copy and its disk space; returns whether there was one."""
        if self._copy is None:
            return False
        self._copy.close()
        self._copy = None
        return True

    def restore(self) -> str:
        """Restores the file from its copy, and says in a sentence what had happened to it.

        Raises:
            OSError: it cannot be written, or there is no copy.
        """
        if self._copy is None:
            raise OSError(0, "there was no space for a copy of it")
        happened = "was removed"
        if os.path.lexists(self.path):
            names = (self.path.with_suffix(f".foreign{number or ''}{self.path.suffix}") for number in itertools.count())
            aside = self.path.rename(next(name for name in names if not os.path.lexists(name)))
            happened = f"was changed (that version is kept as {aside.name})"
        part = self.path.with_suffix(".part")
        self._close_file()
        self._fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
        _copy_to_end(self._copy.fileno(), self._fd)
        os.fsync(self._fd)
        part.rename(self.path)
        self._known = _signature(os.fstat(self._fd))
        sync_folder(self.path.parent)
        return f"{self.path} {happened} by something other than this run, perhaps a trial; it was restored"


def append_durably(fd: int, data: bytes) -> int:
    """Appends all of the data or nothing, down to the disk, and returns its offset."""
    size = os.fstat(fd).st_size
    try:
        _write_all(fd, data)
        os.fsync(fd)
    except OSError:
        os.ftruncate(fd, size)
        raise
    return size


def sync_folder(directory: Path) -> None:
    """Writes the folder's list of files to the disk."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _signature(file: Path | os.stat_result) -> tuple[int, int, int, int] | None:
    """What changes when a file is replaced, resized or written; None if there is no file."""
    try:
        stat = file if isinstance(file, os.stat_result) else file.lstat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns


def _copy_to_end(source: int, target: int) -> None:
    """Appends a whole file to another one."""
    start = 0
    while data := os.pread(source, CHUNK, start):
        start += len(data)
        _write_all(target, data)


def _write_all(target: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(target, rest) :]


def _same_content(one: int, other: int) -> bool:
    for start in itertools.count(0, CHUNK):
        data = os.pread(one, CHUNK, start)
        if data != os.pread(other, CHUNK, start):
            return False
        if not data:
            break
    return True
