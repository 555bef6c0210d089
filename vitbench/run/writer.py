"""The one writer of a results folder: it holds the lock, and a record is on the disk when ``append`` returns."""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import os
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self

from vitbench.errors import UserError
from vitbench.records import (
    ARTIFACTS,
    ENVIRONMENTS,
    RECORDS,
    TORN,
    Environment,
    Notice,
    Record,
    dumps,
    now,
    plain,
    read_environments,
    scan,
    warn,
)

if TYPE_CHECKING:
    import numpy as np

LOCK = ".lock"


class Writer:
    """The one writer of a results folder, from construction (which makes the folder and locks it) to ``close``.

    What a crash tore at the end of the file is moved to ``records.torn.jsonl``, with a notice.

    Attributes:
        directory: the folder.
        records: all that it holds, those appended since included.

    Raises:
        UserError: the folder cannot be written, another process is writing it, or a line is damaged.
    """

    def __init__(self, directory: str | Path, notice: Notice = warn) -> None:
        self.directory = Path(directory)
        self.records: list[Record] = []
        self._lock = self._file = -1
        try:
            (self.directory / ARTIFACTS).mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self.directory)
            self._file = os.open(self.directory / RECORDS, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            self._repair(notice)
            self._environments = set(read_environments(self.directory))
            _sync_folder(self.directory)
        except OSError as error:
            self.close()
            raise self._trouble(error) from error
        except UserError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Releases the folder."""
        for fd in (self._file, self._lock):
            if fd >= 0:
                os.close(fd)
        self._file = self._lock = -1

    def append(self, record: Record) -> None:
        """Writes the record; when this returns it is on the disk."""
        self.append_many([record])

    def append_many(self, records: Iterable[Record]) -> None:
        """Writes the records in one call, so that a session arrives whole; when this returns they are on the disk.

        Raises:
            UserError: the disk is full or gone; the file is left as it was.
        """
        records = list(records)
        self._write(self._file, "".join(record.line() + "\n" for record in records).encode())
        self.records += records

    def add_environment(self, environment: Environment) -> str:
        """Writes the environment's body unless it stands there already, and returns its hash."""
        if environment.hash not in self._environments:
            fd = os.open(self.directory / ENVIRONMENTS, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                size = os.fstat(fd).st_size
                cut = size and os.pread(fd, 1, size - 1) != b"\n"  # torn; no record rests on it yet
                line = dumps({"hash": environment.hash, "body": plain(environment.body)}) + "\n"
                if cut:
                    os.ftruncate(fd, os.pread(fd, size, 0).rfind(b"\n") + 1)
                self._write(fd, line.encode())
            finally:
                os.close(fd)
            self._environments.add(environment.hash)
        return environment.hash

    def save_arrays(self, name: str, arrays: Mapping[str, np.ndarray]) -> str:
        """Writes ``artifacts/NAME.npz`` in one step, before the record that names it; returns the file's name."""
        import numpy as np

        target = self.directory / ARTIFACTS / f"{name}.npz"
        part = target.with_suffix(".part")
        try:
            with part.open("wb") as file:
                np.savez_compressed(file, allow_pickle=False, **dict(arrays))
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
            _sync_folder(target.parent)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise self._trouble(error) from error
        return target.name

    def _write(self, fd: int, data: bytes) -> None:
        size = os.fstat(fd).st_size
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(fd, rest) :]
            os.fsync(fd)
        except OSError as error:
            os.ftruncate(fd, size)
            raise self._trouble(error) from error

    def _repair(self, notice: Notice) -> None:
        found = scan(self.directory / RECORDS)
        self.records = found.records
        if found.torn:
            aside = os.open(self.directory / TORN, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                self._write(aside, found.torn.rstrip(b"\n") + b"\n")
            finally:
                os.close(aside)
            os.ftruncate(self._file, found.whole)
            os.fsync(self._file)
        elif found.whole and os.pread(self._file, 1, found.whole - 1) != b"\n":
            self._write(self._file, b"\n")  # only the newline was torn off: the record is whole
        if found.notice:
            notice(found.notice)

    def _trouble(self, error: OSError) -> UserError:
        return UserError(
            f"{error.filename or self.directory} cannot be written: {error.strerror}; what was recorded is kept: "
            "make room or change its permissions, or type --results OTHER"
        )


def _locked(directory: Path) -> int:
    """A descriptor that holds the folder's lock until it is closed, even by kill -9."""
    fd = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        try:
            holder = json.loads(os.pread(fd, 1000, 0))
            who = f"process {holder['pid']} on {holder['host']} since {holder['since']}"
        except (ValueError, KeyError, TypeError):
            who = "another process"
        os.close(fd)
        raise UserError(f"{directory} is being written by {who}: wait for it, or type --results OTHER") from None
    os.ftruncate(fd, 0)
    os.pwrite(fd, dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": now()}).encode(), 0)
    return fd


def _sync_folder(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def move_aside(directory: str | Path) -> Path | None:
    """Renames a results folder so that a run can start over; nothing is deleted. Returns its new place.

    Raises:
        UserError: another process is writing it, or it cannot be moved.
    """
    directory = Path(directory)
    if not directory.exists():
        return None
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%S%f")
    target = directory.with_name(f"{directory.name}.{stamp}")
    try:
        lock = _locked(directory)
        try:
            directory.rename(target)
        finally:
            os.close(lock)
    except OSError as error:
        raise UserError(f"{directory} cannot be moved aside: {error.strerror}; type --results OTHER") from error
    return target
