"""One job, as it runs in a process of its own: a function is called, what it returns or raises goes up a pipe."""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
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

On: TypeAlias = Callable[[str], None]
"""Called by a job with the name of what it turns to next, so that a crash can be laid at somebody's door. Costs a
microsecond and wakes nobody, so it may stand between two timed calls."""

OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "std::bad_alloc")
NO_ROOM = ("no space left on device", "disk quota exceeded")


class Board:
    """What a job is busy with, in memory that it shares with the executor: readable however the job ends."""

    SIZE = 4096

    def __init__(self, fd: int) -> None:
        self._memory = mmap.mmap(fd, self.SIZE)
        self._turns = 0

    def write(self, subject: str) -> None:
        name = subject.encode("utf-8", "replace")[: self.SIZE - 16]
        self._turns += 1
        self._memory[: 16 + len(name)] = struct.pack("<QQ", self._turns, len(name)) + name

    def read(self) -> tuple[int, str | None]:
        """How often it turned to something, and to what last."""
        turns, length = struct.unpack("<QQ", self._memory[:16])
        return turns, self._memory[16 : 16 + length].decode("utf-8", "replace") if turns else None

    def close(self) -> None:
        self._memory.close()


@dataclass(frozen=True, kw_only=True)
class Job:
    """``function(payload, on)`` in a process of its own; it returns plain values and numpy arrays.

    Attributes:
        function: ``package.module:function``.
        payload: its argument; pickled.
        timeout_s: how long it may take, or may stay at one thing if it calls ``on``.
        spawn: start a new interpreter (CUDA, allocator settings) instead of forking the server.
        env: environment variables for a spawned one.
        cores: that it keeps busy; what an executor of several machines reserves for it.
        gpus: likewise.
        memory_bytes: that it is modelled to need; 0 where that is not known.
        alone: it needs a whole machine to itself.
    """

    function: str
    payload: Any = None
    timeout_s: float | None = None
    spawn: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    cores: int = 1
    gpus: float = 0.0
    memory_bytes: int = 0
    alone: bool = False


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a job ended, whatever happened to it.

    ``lost``: not the job failed but what ran it, a worker or a machine; so it may be run again. ``losses``: why it was
    lost before, each time. ``no_room``: a disk was full, which is nobody's failure. ``environment``: of the machine
    that ran it, where that was another one than the scheduler's (``machine.environment``).
    """

    status: Status
    value: Any = None
    reason: str | None = None
    traceback: str | None = None
    output: str = ""  # the last lines that it printed
    on: str | None = None  # what it was busy with
    started: str = ""
    seconds: float = 0.0
    lost: bool = False
    losses: tuple[str, ...] = ()
    no_room: bool = False
    environment: Environment | None = None


def work(channel: int, board: int) -> None:
    """Receives a job, runs it, sends the result, and ends this process without further ado."""
    faulthandler.enable(2)  # a segmentation fault tells where it happened, in the output that is kept
    connection = Connection(channel)
    on = Board(board).write
    job: Job = connection.recv()
    message: tuple[Any, ...]
    try:
        module, _, name = job.function.partition(":")
        function = getattr(importlib.import_module(module), name)
        message = ("result", function(job.payload, on))
    except BaseException as error:  # noqa: BLE001  # sys.exit in a user's model is a failed trial too
        message = ("error", *explain(error))
    with contextlib.suppress(OSError, ValueError):  # a job may have closed its own standard output
        sys.stdout.flush()
        sys.stderr.flush()
    connection.send(message)
    os._exit(0)  # no destructors: nothing of this process is needed any more


def explain(error: BaseException) -> tuple[Status, str, str, bool]:
    """Status, reason in one line, traceback, and whether it is the disk's fault."""
    from vitbench.utils.errors import UserError

    text = " ".join(str(error).split())
    root = error
    while root.__cause__ is not None:
        root = root.__cause__  # what went wrong, under what was said about it
    status: Status = "failed"
    no_room = any(words in str(root).lower() for words in NO_ROOM)
    if isinstance(root, MemoryError) or any(words in str(root).lower() for words in OUT_OF_MEMORY):
        status = "oom"
    elif type(root).__name__ == "Diverged":  # train.Diverged; importing it here would load torch
        status = "diverged"
    ours = isinstance(error, UserError) or status == "diverged"
    reason = text if ours else f"{type(error).__name__}: {text}".removesuffix(": ")
    return status, reason[:1000], "".join(traceback.format_exception(error))[-8000:], no_room
