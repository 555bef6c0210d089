"""The lock of a results folder: one process at a time writes the folder or moves it; others learn which one it is."""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

from vitbench.records.codec import dumps
from vitbench.records.identity import now
from vitbench.utils.errors import UserError

LOCK = ".lock"


class LockedError(UserError):
    """Another process is writing the folder."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """The last process that locked a folder."""

    pid: int
    host: str
    since: str  # ISO 8601
    alive: bool | None  # whether it still holds the lock; None if that cannot be seen from here


def acquire(directory: Path) -> int:
    """A file descriptor that holds the folder's lock until it is closed, even by kill -9.

    Raises:
        LockedError: another process holds it.
    """
    while True:
        fd = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_lock(fd, directory):
                os.ftruncate(fd, 0)
                os.pwrite(fd, dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": now()}).encode(), 0)
                return fd
            os.close(fd)  # the folder was moved aside in between: this is the lock of the old one
        except BlockingIOError:
            os.close(fd)
            holder = holder_of(directory)
            who = f"process {holder.pid} on {holder.host} since {holder.since}" if holder else "another process"
            advice = "type --wait to wait for it, or --results OTHER"
            raise LockedError(f"{directory} is being written by {who}: {advice}") from None
        except OSError:
            os.close(fd)
            raise


def is_lock(fd: int, directory: Path) -> bool:
    """Whether the descriptor belongs to the folder's present lock file."""
    try:
        return os.path.samestat(os.fstat(fd), (directory / LOCK).stat())
    except FileNotFoundError:
        return False


def holder_of(directory: Path) -> Holder | None:
    """The last process that locked the folder, without touching the lock; None if no process has identified itself."""
    lock = directory / LOCK
    try:
        written = json.loads(lock.read_bytes())
        pid, host, since = int(written["pid"]), str(written["host"]), str(written["since"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    alive = _has_open(pid, lock) if host == socket.gethostname() else None
    return Holder(pid=pid, host=host, since=since, alive=alive)


def _has_open(pid: int, file: Path) -> bool | None:
    """Whether the process has the file open, as a writer has until it ends; None if another user owns the process.

    This tells the writer from a later process with the same number.
    """
    try:
        return any(opened.path == str(file.resolve()) for opened in psutil.Process(pid).open_files())
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return None


def move_aside(directory: str | Path) -> Path | None:
    """Renames a results folder so that a run can start over, and returns its new path; None if there is no folder.

    Raises:
        UserError: another process is writing it, or it cannot be moved.
    """
    directory = Path(directory)
    if not directory.exists():
        return None
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%S%f")
    target = directory.with_name(f"{directory.name}.{stamp}")
    try:
        lock = acquire(directory)
        try:
            directory.rename(target)
        finally:
            os.close(lock)
    except OSError as error:
        raise UserError(f"{directory} cannot be moved aside: {error.strerror}; type --results OTHER") from error
    return target
