"""The local executor: jobs in processes of their own on this machine; every way to end becomes a Result."""

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
from typing import IO, Any, Self

from vitbench.records.identity import now
from vitbench.run.executors.job import Board, Job, Result
from vitbench.run.executors.local import exit_reasons
from vitbench.run.executors.local.fork_server import PRELOAD
from vitbench.run.executors.local.fork_server_process import ServerLostError, ServerProcess
from vitbench.utils.errors import UserError
from vitbench.utils.threads import cores

RESTARTS = 5
"""How often in a row the server is started again without a job having come to an end of its own in between."""

GOES_ON = "what was recorded is kept, the same command goes on from there"


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
        self.oom_kills = exit_reasons.oom_kills()
        self.restart_clock()

    def restart_clock(self) -> None:
        self.turns, _ = self.board.read()
        self.deadline = math.inf if self.job.timeout_s is None else time.monotonic() + self.job.timeout_s

    def receive(self) -> None:
        """Takes one message; a pipe that closes or holds garbage says nothing, the wait status will."""
        try:
            self.message = tuple(self.connection.recv())
        except Exception:  # noqa: BLE001  # unpickling what a dying process half wrote can raise anything
            self.message = ("nothing",)

    def close(self) -> None:
        self.connection.close()
        self.output.close()
        self.board.close()


class LocalExecutor:
    """Starts jobs and hands back their results, in the order in which they end.

    If its fork server is killed, another one is started; what ran is ``lost``.

    Args:
        threads: of numerical libraries in every job, set before they are imported.
        import_path: a folder where jobs find modules too: the ablation file's.
        preload: modules that the fork server imports.
    """

    def __init__(self, *, threads: int = 1, import_path: Path | None = None, preload: Sequence[str] = PRELOAD) -> None:
        self._start = functools.partial(ServerProcess, threads=threads, import_path=import_path, preload=preload)
        self._server = self._start()
        self._deaths = 0
        self._keys = itertools.count()
        self._running: dict[int, _Running] = {}
        self._ended: list[tuple[int, Result]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def cores(self) -> int:
        """Of this machine, as far as this process may use them."""
        return cores()

    @property
    def gpus(self) -> int:
        """It shares none out."""
        return 0

    def __len__(self) -> int:
        """Jobs that run."""
        return len(self._running)

    def close(self) -> None:
        """Ends every job, and the server."""
        self._server.close()
        self._forget()

    def cancel(self) -> None:
        """Ends every job; nobody hears of their results."""
        with contextlib.suppress(ServerLostError):  # its jobs went with it
            for key in self._running:
                self._server.kill(key)
            while self._running:
                wait([self._server.fileno()])
                self._hear()
        self._forget()

    def _forget(self) -> None:
        for run in self._running.values():
            run.close()
        self._running.clear()
        self._ended.clear()

    def submit(self, job: Job) -> int:
        """Starts the job at once; the key is that of its result.

        Raises:
            UserError: the fork server dies again and again, or there is no room for a job's output.
        """
        key = next(self._keys)
        try:
            output = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # closed with the job
            board = os.memfd_create("vitbench")
            os.ftruncate(board, Board.SIZE)
            ours, theirs = Pipe()
        except OSError as error:
            raise UserError(f"no job can be started: {error.strerror}; {GOES_ON}") from error
        try:
            self._fork(
                key, job, [theirs.fileno(), output.fileno(), board]
            )  # once the server is ready: no time runs yet
            self._running[key] = _Running(job, ours, output, Board(board))
        except UserError:
            ours.close()
            output.close()
            raise
        finally:
            theirs.close()
            os.close(board)
        with contextlib.suppress(BrokenPipeError):  # it died at once; its end is reported like any other
            ours.send(job)
        return key

    def _fork(self, key: int, job: Job, fds: Sequence[int]) -> None:
        while True:
            try:
                return self._server.fork(key, fds, spawn=job.spawn, env=job.env)
            except ServerLostError as death:
                self._restart(death)

    def wait(self, timeout: float | None = None, also: Sequence[int] = ()) -> list[tuple[int, Result]]:
        """The jobs that have ended since the last call; waits for something to happen, ``timeout`` seconds at most.

        Args:
            timeout: in seconds; None: until something happens.
            also: file descriptors that end the wait when they become readable.

        Raises:
            UserError: the fork server dies again and again; nothing that was recorded is lost.
        """
        if not self._ended:
            try:
                self._look(timeout, also)
            except ServerLostError as death:
                self._restart(death)
        ended, self._ended = self._ended, []
        return ended

    def _look(self, timeout: float | None, also: Sequence[int]) -> None:
        hurry = [max(0.0, run.deadline - time.monotonic()) for run in self._running.values() if not run.late]
        limit = min([*hurry, math.inf if timeout is None else timeout], default=math.inf)
        sources = {run.connection: run for run in self._running.values() if run.message is None}
        ready = wait([self._server.fileno(), *sources, *also], None if limit == math.inf else limit)
        for connection, run in sources.items():
            if connection in ready:
                run.receive()
        for key, run in self._running.items():
            if time.monotonic() >= run.deadline and not run.late:
                self._out_of_time(key, run)
        if self._server.fileno() in ready:
            self._hear()

    def _hear(self) -> None:
        for told in self._server.reports():
            self._end(told["ended"], functools.partial(exit_reasons.ended, told))
            self._deaths = 0

    def _out_of_time(self, key: int, run: _Running) -> None:
        if run.board.read()[0] != run.turns:
            run.restart_clock()  # it has turned to something else since
            return
        run.late = True
        self._server.kill(key)

    def _restart(self, death: ServerLostError) -> None:
        """Ends what ran in a server that died, and starts another one.

        Raises:
            UserError: this one never came as far as to serve, or too many died in a row.
        """
        for key in list(self._running):
            self._end(key, functools.partial(exit_reasons.lost, str(death)))
        self._deaths += 1
        if not self._server.ready or self._deaths > RESTARTS:
            times = f", {self._deaths} times in a row" * (self._deaths > 1)
            raise UserError(f"{death}{times}; {GOES_ON}")
        self._server.close()
        self._server = self._start()

    def _end(self, key: int, why: Callable[[int | None], Result]) -> None:
        """Takes what a job that has ended left behind; where that is nothing, ``why`` knows from the kills before."""
        run = self._running.pop(key)
        if run.message is None and run.connection.poll():
            run.receive()
        tail = exit_reasons.last_words(run.output)
        match run.message:
            case ("result", value):
                result = Result(status="ok", value=value)
            case ("error", outcome, reason, trace, no_room):
                result = Result(status=outcome, reason=reason, traceback=trace, output=tail, no_room=no_room)
            case _:
                result = dataclasses.replace(_late(run) if run.late else why(run.oom_kills), output=tail)
        common: dict[str, Any] = {
            "started": run.started,
            "seconds": time.monotonic() - run.start,
            "on": run.board.read()[1],
        }
        run.close()
        self._ended.append((key, dataclasses.replace(result, **common)))


def _late(run: _Running) -> Result:
    return Result(status="timeout", reason=f"no result within {run.job.timeout_s:g} s: stopped")
