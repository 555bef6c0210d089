"""Who holds a results folder, read from its lock file and from /proc: the lock itself is never touched."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from vitbench.run.store.lock import LOCK


@dataclass(frozen=True, kw_only=True)
class Holder:
    """What the last writer of a folder wrote into its lock.

    Attributes:
        pid: of the process.
        host: where it runs.
        since: when it took the lock, ISO 8601.
        alive: whether it still holds it; None where that cannot be seen from here.
    """

    pid: int
    host: str
    since: str
    alive: bool | None


def holder_of(directory: Path) -> Holder | None:
    """The last writer; None where nobody has ever been, or where one was cut off before it had said who it is."""
    lock = directory / LOCK
    try:
        said = json.loads(lock.read_bytes())
        pid, host, since = int(said["pid"]), str(said["host"]), str(said["since"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    alive = _has_open(pid, lock) if host == socket.gethostname() else None
    return Holder(pid=pid, host=host, since=since, alive=alive)


def _has_open(pid: int, lock: Path) -> bool | None:
    """Whether the process has that file open, as a writer has until it ends in whatever way.

    A number that went to another process since is seen through: that one has not.
    """
    if not Path("/proc/self/fd").is_dir():
        return None  # no Linux
    try:
        wanted = lock.stat()
        with os.scandir(f"/proc/{pid}/fd") as entries:
            for entry in entries:
                with contextlib.suppress(OSError):  # closed meanwhile
                    if os.path.samestat(entry.stat(), wanted):
                        return True
    except PermissionError:
        return None  # somebody else's process
    except OSError:
        return False
    return False
