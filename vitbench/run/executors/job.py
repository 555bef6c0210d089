"""One job in a process of its own: it calls a function and sends what this returns or raises through a pipe."""

from __future__ import annotations

import contextlib
import faulthandler
import mmap
import os
import struct
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

from vitbench.records.record import Environment, Status
from vitbench.utils.lazy import resolve

ReportProgress: TypeAlias = Callable[[str], None]
"""A job calls it with the name of the variant that it works on next, so that a crash can be attributed to a variant.
A call costs a microsecond and wakes no process, so it can be made between two timed calls."""

NO_ROOM = ("no space left on device", "disk quota exceeded")

RESUME = "recorded results are kept; run the same command to resume"
"""The end of a message about a run that cannot continue."""


class SharedStatus:
    """What a job works on, in memory that it shares with the executor: readable however the job ends."""

    SIZE = 4096

    def __init__(self, fd: int) -> None:
        self._memory = mmap.mmap(fd, self.SIZE)
        self._changes = 0

    def write(self, subject: str) -> None:
        name = subject.encode("utf-8", "replace")[: self.SIZE - 16]
        self._changes += 1
        self._memory[: 16 + len(name)] = struct.pack("<QQ", self._changes, len(name)) + name

    def read(self) -> tuple[int, str | None]:
        """The number of changes, and the last subject."""
        changes, length = struct.unpack("<QQ", self._memory[:16])
        return changes, self._memory[16 : 16 + length].decode("utf-8", "replace") if changes else None

    def close(self) -> None:
        self._memory.close()


@dataclass(frozen=True, kw_only=True)
class Job:
    """A call ``function(payload, on)`` in a process of its own; it returns plain values and numpy arrays."""

    function: str  # "package.module:function"
    payload: Any = None  # pickled
    timeout_s: float | None = None  # for the job, or for each subject if it calls ``on``
    spawn: bool = False  # start a new interpreter (for CUDA and allocator settings) instead of forking the server
    env: Mapping[str, str] = field(default_factory=dict)  # environment variables of the new interpreter
    cores: int = 1  # to reserve on a cluster
    gpus: float = 0.0
    memory_bytes: int = 0  # modelled; 0: unknown
    alone: bool = False  # it needs a whole machine


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a job ended."""

    status: Status
    value: Any = None
    reason: str | None = None  # one line
    traceback: str | None = None
    output: str = ""  # the end of what a failed job printed
    on: str | None = None  # the subject that it last named
    started: str = ""
    seconds: float = 0.0
    lost: bool = False  # its worker or machine was lost, the job did not fail: it may run again
    losses: tuple[str, ...] = ()  # the reasons of earlier losses
    no_room: bool = False  # a disk was full, which is not the job's failure
    environment: Environment | None = None  # of its machine, if that is not the scheduler's


def work(channel: int, board: int) -> None:
    """Receives a job, runs it, sends the result, and ends this process at once."""
    faulthandler.enable(2)  # a segmentation fault prints where it happened into the output that is kept
    connection = Connection(channel)
    on = SharedStatus(board).write
    job: Job = connection.recv()
    message: tuple[Any, ...]
    try:
        message = ("result", resolve(job.function)(job.payload, on))
    except BaseException as error:  # noqa: BLE001  # sys.exit in a user's model is a failed trial too
        message = ("error", *classify_error(error))
    with contextlib.suppress(OSError, ValueError):  # the job may have closed its standard output
        sys.stdout.flush()
        sys.stderr.flush()
    connection.send(message)
    os._exit(0)  # without destructors: nothing of this process is needed any more


def classify_error(error: BaseException) -> tuple[Status, str, str, bool]:
    """Status, reason in one line, traceback, and whether a full disk caused the error."""
    from vitbench.utils.errors import UserError, is_out_of_memory, root_cause

    text = " ".join(str(error).split())
    root = root_cause(error)
    status: Status = "failed"
    no_room = any(words in str(root).lower() for words in NO_ROOM)
    if is_out_of_memory(error):
        status = "oom"
    elif type(root).__name__ == "Diverged":  # train.Diverged; importing it here would load torch
        status = "diverged"
    expected = isinstance(error, UserError) or status == "diverged"
    reason = text if expected else f"{type(error).__name__}: {text}".removesuffix(": ")
    return status, reason[:1000], "".join(traceback.format_exception(error))[-8000:], no_room
