"""The local executor: jobs in processes of their own on this machine; every way to end becomes a Result."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import IO, Any, Self

from vitbench.errors import UserError
from vitbench.records import Status, now
from vitbench.run.job import Board, Job, Result
from vitbench.run.machine import KEEP_MEMORY
from vitbench.run.server import MESSAGE, PRELOAD
from vitbench.threads import cores, environment

TAIL = 4000
"""Bytes of a failed job's output that are kept."""


@dataclass
class _Running:
    job: Job
    connection: Connection
    output: IO[bytes]
    board: Board
    started: str = field(default_factory=now)
    start: float = field(default_factory=time.monotonic)
    turns: int = 0  # of its board when the clock was started
    message: tuple[Any, ...] | None = None
    late: bool = False
    oom_kills: int | None = None
    deadline: float = math.inf

    def __post_init__(self) -> None:
        self.oom_kills = _oom_kills()
        self.restart_clock()

    def restart_clock(self) -> None:
        self.turns, _ = self.board.read()
        self.deadline = math.inf if self.job.timeout_s is None else time.monotonic() + self.job.timeout_s

    def close(self) -> None:
        self.connection.close()
        self.output.close()
        self.board.close()


class LocalExecutor:
    """Starts jobs and hands back their results, in the order in which they end.

    Args:
        threads: of numerical libraries in every job, set before they are imported.
        import_path: a folder where jobs find modules too: the ablation file's.
        preload: modules that the fork server imports.
    """

    def __init__(self, *, threads: int = 1, import_path: Path | None = None, preload: Sequence[str] = PRELOAD) -> None:
        self._keys = itertools.count()
        self._running: dict[int, _Running] = {}
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed in `close`
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        path = [*sys.path, *([str(import_path)] if import_path else [])]
        code = (
            f"import os, sys; sys.path[:] = {path!r}; from vitbench.run.server import serve, die_with_parent; "
            f"die_with_parent({os.getpid()}); serve({theirs.fileno()}, {tuple(preload)!r})"
        )
        self._server = subprocess.Popen(  # noqa: S603  # this interpreter, our code
            [sys.executable, "-c", code],
            pass_fds=[theirs.fileno()],
            env={**KEEP_MEMORY, **os.environ, **environment(threads), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        theirs.close()
        self._ready = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def cores(self) -> int:
        """Of this machine, as far as this process may use them."""
        return cores()

    def __len__(self) -> int:
        """Jobs that run."""
        return len(self._running)

    def close(self) -> None:
        """Ends every job, and the server."""
        self._control.close()
        try:
            self._server.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._server.kill()  # its children go with it
            self._server.wait()
        for run in self._running.values():
            run.close()
        self._running.clear()
        self._log.close()

    def cancel(self) -> None:
        """Ends every job; nobody hears of their results."""
        with contextlib.suppress(UserError):  # the server is gone, and its jobs went with it
            for key in self._running:
                self._tell({"kill": key})
            while self._running:
                self.wait()

    def submit(self, job: Job) -> int:
        """Starts the job at once; the key is that of its result."""
        self._await_ready()
        key = next(self._keys)
        ours, theirs = Pipe()
        output = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # closed with the job
        board = os.memfd_create("vitbench")
        os.ftruncate(board, Board.SIZE)
        run = _Running(job, ours, output, Board(board))
        fds = [theirs.fileno(), output.fileno(), board]
        self._tell({"fork": key, "spawn": job.spawn, "env": dict(job.env)}, fds)
        theirs.close()
        os.close(board)
        self._running[key] = run
        with contextlib.suppress(BrokenPipeError):  # it died at once; its end is reported like any other
            ours.send(job)
        return key

    def wait(self, timeout: float | None = None, also: Sequence[int] = ()) -> list[tuple[int, Result]]:
        """The jobs that have ended since the last call; waits for something to happen, ``timeout`` seconds at most.

        Args:
            timeout: in seconds; None: until something happens.
            also: file descriptors that end the wait when they become readable.

        Raises:
            UserError: the fork server died; nothing that was recorded is lost.
        """
        hurry = [max(0.0, run.deadline - time.monotonic()) for run in self._running.values() if not run.late]
        limit = min([*hurry, math.inf if timeout is None else timeout], default=math.inf)
        sources = {run.connection: run for run in self._running.values() if run.message is None}
        ready = wait([self._control, *sources, *also], None if limit == math.inf else limit)
        for connection, run in sources.items():
            if connection in ready:
                self._receive(run)
        for key, run in self._running.items():
            if time.monotonic() >= run.deadline and not run.late:
                self._out_of_time(key, run)
        return [self._end(told["ended"], told["status"]) for told in self._reports()] if self._control in ready else []

    def _out_of_time(self, key: int, run: _Running) -> None:
        if run.board.read()[0] != run.turns:
            run.restart_clock()  # it has turned to something else since
            return
        run.late = True
        self._tell({"kill": key})

    def _receive(self, run: _Running) -> None:
        """Takes one message; a pipe that closes or holds garbage says nothing, the wait status will."""
        try:
            run.message = tuple(run.connection.recv())
        except Exception:  # noqa: BLE001  # unpickling what a dying process half wrote can raise anything
            run.message = ("nothing",)

    def _tell(self, request: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
        try:
            socket.send_fds(self._control, [json.dumps(request).encode()], list(fds))
        except OSError as error:
            raise self._lost() from error

    def _reports(self) -> Iterator[dict[str, int]]:
        while True:
            try:
                data = self._control.recv(MESSAGE, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError as error:
                raise self._lost() from error
            if not data:
                raise self._lost()
            yield json.loads(data)

    def _end(self, key: int, status: int) -> tuple[int, Result]:
        run = self._running.pop(key)
        if run.message is None and run.connection.poll():
            self._receive(run)
        size = run.output.seek(0, os.SEEK_END)
        tail = os.pread(run.output.fileno(), TAIL, max(0, size - TAIL)).decode("utf-8", "replace")
        common: dict[str, Any] = {
            "started": run.started,
            "seconds": time.monotonic() - run.start,
            "on": run.board.read()[1],
        }
        run.close()
        match run.message:
            case ("result", value):
                return key, Result(status="ok", value=value, **common)
            case ("error", outcome, reason, trace):
                return key, Result(status=outcome, reason=reason, traceback=trace, output=tail, **common)
        outcome, reason = _obituary(run, status)
        return key, Result(status=outcome, reason=reason, output=tail, **common)

    def _await_ready(self) -> None:
        if not self._ready:
            try:
                self._ready = bool(self._control.recv(MESSAGE))
            except OSError:
                self._ready = False
            if not self._ready:
                raise self._lost()

    def _lost(self) -> UserError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._server.wait(timeout=5)
        size = self._log.seek(0, os.SEEK_END)
        last = os.pread(self._log.fileno(), TAIL, max(0, size - TAIL)).decode("utf-8", "replace").strip()
        said = f": {last.splitlines()[-1]}" if last else f" (status {self._server.returncode})"
        return UserError(
            f"the worker server ended{said}; what was recorded is kept, the same command goes on from there"
        )


def _obituary(run: _Running, status: int) -> tuple[Status, str]:
    """Why a job ended that sent no result."""
    if run.late:
        return "timeout", f"no result within {run.job.timeout_s:g} s: stopped"
    if os.WIFEXITED(status):
        return "failed", f"the process left with exit status {os.WEXITSTATUS(status)} before it had a result"
    number = os.WTERMSIG(status)
    name = signal.Signals(number).name if number in set(signal.Signals) else "a real-time signal"
    killed = f"the process was killed by signal {number} ({name})"
    if number != signal.SIGKILL:
        return "failed", killed
    before, after = run.oom_kills, _oom_kills()
    if before is None or after is None:
        return "oom", f"{killed}, most likely by the kernel because memory ran out"
    return ("oom", f"{killed}: memory ran out") if after > before else ("failed", f"{killed}, though memory was left")


def _oom_kills() -> int | None:
    """How often the kernel has killed for want of memory since it started; None where it does not say."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)
