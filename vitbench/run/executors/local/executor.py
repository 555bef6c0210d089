"""The local executor: each job in a process of its own on this machine; however the process ends, there is a Result."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import math
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import IO, Any

from vitbench.records.identity import now
from vitbench.run.executors.job import RESUME, Job, Result, SharedStatus
from vitbench.run.executors.local.exit_reasons import exit_result, lost_result, oom_kills, output_tail
from vitbench.run.executors.local.fork_server import PRELOAD
from vitbench.run.executors.local.fork_server_client import ForkServerClient, ServerLostError
from vitbench.run.executors.protocol import Executor
from vitbench.utils.errors import UserError
from vitbench.utils.threads import cores

RESTARTS = 5
"""How often the server is restarted in a row without a job having ended normally in between."""


@dataclass
class _Running:
    job: Job
    connection: Connection
    output: IO[bytes]
    board: SharedStatus
    started: str = field(default_factory=now)
    start: float = field(default_factory=time.monotonic)
    oom_kills: int | None = field(default_factory=oom_kills)
    message: tuple[Any, ...] | None = None
    timed_out: bool = False
    changes: int = 0  # of the board, when the clock was started
    deadline: float = math.inf

    def __post_init__(self) -> None:
        self.restart_clock()

    def restart_clock(self) -> None:
        self.changes, _ = self.board.read()
        self.deadline = math.inf if self.job.timeout_s is None else time.monotonic() + self.job.timeout_s

    def receive(self) -> None:
        """Takes one message; if the pipe closes or holds garbage, the wait status will tell the reason."""
        try:
            self.message = tuple(self.connection.recv())
        except Exception:  # noqa: BLE001  # unpickling what a dying process half wrote can raise anything
            self.message = ("nothing",)

    def close(self) -> None:
        self.connection.close()
        self.output.close()
        self.board.close()


class LocalExecutor(Executor):
    """Starts every job at once, in a process that a fork server forks.

    If the fork server is killed, another one is started; the jobs that ran in it are ``lost``.

    Args:
        threads: the number of threads of numerical libraries in every job, set before these are imported.
        import_path: a folder where jobs find modules too: the one of the ablation file.
        preload: modules that the fork server imports.
    """

    def __init__(self, *, threads: int = 1, import_path: Path | None = None, preload: Sequence[str] = PRELOAD) -> None:
        self._start = functools.partial(ForkServerClient, threads=threads, import_path=import_path, preload=preload)
        self._server = self._start()
        self._deaths = 0
        self._keys = itertools.count()
        self._running: dict[int, _Running] = {}
        self._ended: list[tuple[int, Result]] = []

    @property
    def cores(self) -> int:
        """The cores of this machine that this process may use."""
        return cores()

    @property
    def gpus(self) -> int:
        return 0

    def __len__(self) -> int:
        return len(self._running)

    def close(self) -> None:
        """Ends every job, and the server."""
        self._server.close()
        self._forget()

    def cancel(self) -> None:
        """Ends every job and drops the results."""
        with contextlib.suppress(ServerLostError):  # its jobs ended with it
            for key in self._running:
                self._server.kill(key)
            while self._running:
                wait([self._server.fileno()])
                self._take_reports()
        self._forget()

    def _forget(self) -> None:
        for run in self._running.values():
            run.close()
        self._running.clear()
        self._ended.clear()

    def submit(self, job: Job) -> int:
        """Starts the job and returns the key of its result.

        Raises:
            UserError: the fork server dies again and again, or there is no disk space for the job's output.
        """
        key = next(self._keys)
        try:
            output = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # closed with the job
            board = os.memfd_create("vitbench")
            os.ftruncate(board, SharedStatus.SIZE)
            ours, theirs = Pipe()
        except OSError as error:
            raise UserError(f"no job can be started: {error.strerror}; {RESUME}") from error
        try:
            self._fork(key, job, [theirs.fileno(), output.fileno(), board])  # waits for the server to be ready
            self._running[key] = _Running(job, ours, output, SharedStatus(board))
        except UserError:
            ours.close()
            output.close()
            raise
        finally:
            theirs.close()
            os.close(board)
        with contextlib.suppress(BrokenPipeError):  # it died at once, which is reported like any other end
            ours.send(job)
        return key

    def _fork(self, key: int, job: Job, fds: Sequence[int]) -> None:
        while True:
            try:
                return self._server.fork(key, fds, spawn=job.spawn, env=job.env)
            except ServerLostError as loss:
                self._restart(loss)

    def wait(self, timeout: float | None = None, also: Sequence[int] = ()) -> list[tuple[int, Result]]:
        """As ``Executor.wait``.

        Raises:
            UserError: the fork server dies again and again; recorded results are kept.
        """
        if not self._ended:
            try:
                self._wait_once(timeout, also)
            except ServerLostError as loss:
                self._restart(loss)
        ended, self._ended = self._ended, []
        return ended

    def _wait_once(self, timeout: float | None, also: Sequence[int]) -> None:
        left = [max(0.0, run.deadline - time.monotonic()) for run in self._running.values() if not run.timed_out]
        limit = min([*left, math.inf if timeout is None else timeout], default=math.inf)
        sources = {run.connection: run for run in self._running.values() if run.message is None}
        ready = wait([self._server.fileno(), *sources, *also], None if limit == math.inf else limit)
        for connection, run in sources.items():
            if connection in ready:
                run.receive()
        for key, run in self._running.items():
            if time.monotonic() >= run.deadline and not run.timed_out:
                self._check_timeout(key, run)
        if self._server.fileno() in ready:
            self._take_reports()

    def _take_reports(self) -> None:
        for report in self._server.reports():
            self._end(report["ended"], functools.partial(exit_result, report))
            self._deaths = 0

    def _check_timeout(self, key: int, run: _Running) -> None:
        if run.board.read()[0] != run.changes:
            run.restart_clock()  # it has begun something else since
            return
        run.timed_out = True
        self._server.kill(key)

    def _restart(self, loss: ServerLostError) -> None:
        """Ends the jobs of a server that died, and starts another server.

        Raises:
            UserError: the server never became ready, or too many died in a row.
        """
        for key in list(self._running):
            self._end(key, functools.partial(lost_result, str(loss)))
        self._deaths += 1
        if not self._server.ready or self._deaths > RESTARTS:
            times = f", {self._deaths} times in a row" * (self._deaths > 1)
            raise UserError(f"{loss}{times}; {RESUME}")
        self._server.close()
        self._server = self._start()

    def _end(self, key: int, without_message: Callable[[int | None], Result]) -> None:
        """Makes the result of a job that ended: from its message, else from the kernel's kills before it began."""
        run = self._running.pop(key)
        if run.message is None and run.connection.poll():
            run.receive()
        tail = output_tail(run.output)
        match run.message:
            case ("result", value):
                result = Result(status="ok", value=value)
            case ("error", status, reason, trace, no_room):
                result = Result(status=status, reason=reason, traceback=trace, output=tail, no_room=no_room)
            case _ if run.timed_out:
                reason = f"no result within {run.job.timeout_s:g} s: stopped"
                result = Result(status="timeout", reason=reason, output=tail)
            case _:
                result = dataclasses.replace(without_message(run.oom_kills), output=tail)
        seconds, (_, on) = time.monotonic() - run.start, run.board.read()
        run.close()
        self._ended.append((key, dataclasses.replace(result, started=run.started, seconds=seconds, on=on)))
