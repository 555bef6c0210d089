"""The scheduler's end of the fork server: starts it, asks it for processes, and says why it ended."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vitbench.run.environment import KEEP_MEMORY
from vitbench.run.executors.local.exit_reasons import named
from vitbench.run.executors.local.fork_server import MESSAGE
from vitbench.utils.threads import environment

TAIL = 4000
"""Bytes of a log that are looked at."""

LONG_S = 5.0
"""Seconds that a server may take to end before it is killed."""


class ServerLostError(Exception):
    """The server has ended, and what it ran with it; the message says why."""


class ServerProcess:
    """A running fork server.

    Args:
        threads: of numerical libraries in every job, set before they are imported.
        import_path: a folder where jobs find modules too.
        preload: modules that it imports.

    Attributes:
        ready: it has imported them.
    """

    def __init__(self, *, threads: int, import_path: Path | None, preload: Sequence[str]) -> None:
        self.ready = False
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed in `close`
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        path = [*sys.path, *([str(import_path)] if import_path else [])]
        code = (
            f"import os, sys; sys.path[:] = {path!r}; "
            "from vitbench.run.executors.local.fork_server import serve, die_with_parent; "
            f"die_with_parent({os.getpid()}); serve({theirs.fileno()}, {tuple(preload)!r})"
        )
        self._process = subprocess.Popen(  # noqa: S603  # this interpreter, our code
            [sys.executable, "-c", code],
            pass_fds=[theirs.fileno()],
            env={**KEEP_MEMORY, **os.environ, **environment(threads), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        theirs.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def fileno(self) -> int:
        """Of its socket: readable when it has something to report, or has ended."""
        return self._control.fileno()

    def fork(self, key: int, fds: Sequence[int], *, spawn: bool, env: Mapping[str, str]) -> None:
        """Asks for a process that receives a job, once the server is ready.

        Args:
            key: of the job.
            fds: its pipe, a file for its output, its board.
            spawn: a new interpreter.
            env: environment variables for that one.

        Raises:
            ServerLostError: it has ended.
        """
        self._await_ready()
        self._tell({"fork": key, "spawn": spawn, "env": dict(env)}, fds)

    def kill(self, key: int) -> None:
        """Asks for the end of a job's process, which it will report like any other.

        Raises:
            ServerLostError: it has ended.
        """
        self._tell({"kill": key})

    def reports(self) -> Iterator[dict[str, Any]]:
        """What it has told since of jobs that ended (``server``).

        Raises:
            ServerLostError: it has ended.
        """
        while True:
            try:
                data = self._control.recv(MESSAGE, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError as error:
                raise self._lost() from error
            if (told := self._told(data)) is not None:
                yield told

    def close(self) -> None:
        """Ends it, and all that it runs."""
        self._control.close()
        self._end(LONG_S if self.ready else 0.0)  # while it imports it runs nothing
        self._log.close()

    def _end(self, timeout_s: float) -> None:
        try:
            self._process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()  # its children go with it
            self._process.wait()

    def _await_ready(self) -> None:
        while not self.ready:
            try:
                self._told(self._control.recv(MESSAGE))
            except OSError as error:
                raise self._lost() from error

    def _told(self, data: bytes) -> dict[str, Any] | None:
        """What a message says of a job; None where it says that the server is ready."""
        if not data:
            raise self._lost()
        told: dict[str, Any] = json.loads(data)
        self.ready |= "ready" in told
        return None if "ready" in told else told

    def _tell(self, request: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
        try:
            socket.send_fds(self._control, [json.dumps(request).encode()], list(fds))
        except OSError as error:
            raise self._lost() from error

    def _lost(self) -> ServerLostError:
        self._end(LONG_S)
        status = self._process.returncode
        if status < 0:
            return ServerLostError(f"the worker server was killed by {named(-status)}")
        size = self._log.seek(0, os.SEEK_END)
        last = os.pread(self._log.fileno(), TAIL, max(0, size - TAIL)).decode("utf-8", "replace").strip()
        said = last.splitlines()[-1] if last else f"status {status}"
        return ServerLostError(f"the worker server ended: {said}")
