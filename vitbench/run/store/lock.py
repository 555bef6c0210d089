"""The lock of a results folder: one process writes it, or moves it, at a time; a second one is told who does."""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import os
import socket
from pathlib import Path

from vitbench.records.codec import dumps
from vitbench.records.identity import now
from vitbench.utils.errors import UserError

LOCK = ".lock"


class HeldError(UserError):
    """Another process is writing the folder."""


def locked(directory: Path) -> int:
    """A descriptor that holds the folder's lock until it is closed, even by kill -9."""
    while True:
        fd = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_lock(fd, directory):
                os.ftruncate(fd, 0)
                os.pwrite(fd, dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": now()}).encode(), 0)
                return fd
            os.close(fd)  # between the two the folder was moved aside, and this is the lock of the old one
        except BlockingIOError:
            who = _holder(fd)
            os.close(fd)
            wait = "type --wait to wait for it, or --results OTHER"
            raise HeldError(f"{directory} is being written by {who}: {wait}") from None
        except OSError:
            os.close(fd)
            raise


def is_lock(fd: int, directory: Path) -> bool:
    """Whether the descriptor is of the lock that stands in the folder."""
    try:
        return os.path.samestat(os.fstat(fd), (directory / LOCK).stat())
    except FileNotFoundError:
        return False


def _holder(fd: int) -> str:
    try:
        holder = json.loads(os.pread(fd, 1000, 0))
        return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process"


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
        lock = locked(directory)
        try:
            directory.rename(target)
        finally:
            os.close(lock)
    except OSError as error:
        raise UserError(f"{directory} cannot be moved aside: {error.strerror}; type --results OTHER") from error
    return target
