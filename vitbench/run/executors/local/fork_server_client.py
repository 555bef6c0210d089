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
from vitbench.run.executors.local.exit_reasons import signal_name
from vitbench.run.executors.local.fork_server import MESSAGE
from vitbench.utils.threads import environment

TAIL = 4000
"""The number of bytes at the end of the server's log to look at."""

GRACE_S = 5.0
"""Seconds that a server has to end by itself before it is killed."""


class ServerLostError(Exception):
    """The server has ended, and all its jobs with it; the message says why."""


class ForkServerClient:
    """Starts a fork server and talks to it. The server is ``ready`` once it has imported the modules ``preload``."""

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
        """The file descriptor of its socket, readable when there is a report or the server has ended."""
        return self._control.fileno()

    def fork(self, key: int, fds: Sequence[int], *, spawn: bool, env: Mapping[str, str]) -> None:
        """Asks for a process that receives a job over the first of ``fds``, once the server is ready.

        Raises:
            ServerLostError: the server has ended.
        """
        while not self.ready:
            self.ready = "ready" in self._receive()
        self._send({"fork": key, "spawn": spawn, "env": dict(env)}, fds)

    def kill(self, key: int) -> None:
        """Asks for the end of a job's process, which the server reports like any other."""
        self._send({"kill": key})

    def reports(self) -> Iterator[dict[str, Any]]:
        """The reports about jobs that have ended since the last call (``fork_server``)."""
        while True:
            try:
                report = self._receive(socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            if "ready" in report:
                self.ready = True
            else:
                yield report

    def close(self) -> None:
        """Ends the server and all that it runs."""
        self._control.close()
        self._end(GRACE_S if self.ready else 0.0)  # before it is ready it runs nothing
        self._log.close()

    def _end(self, timeout_s: float) -> None:
        try:
            self._process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()  # the kernel kills its children too
            self._process.wait()

    def _receive(self, flags: int = 0) -> dict[str, Any]:
        try:
            data = self._control.recv(MESSAGE, flags)
        except BlockingIOError:
            raise
        except OSError as error:
            raise self._lost() from error
        if not data:
            raise self._lost()
        message: dict[str, Any] = json.loads(data)
        return message

    def _send(self, request: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
        try:
            socket.send_fds(self._control, [json.dumps(request).encode()], list(fds))
        except OSError as error:
            raise self._lost() from error

    def _lost(self) -> ServerLostError:
        self._end(GRACE_S)
        status = self._process.returncode
        if status < 0:
            return ServerLostError(f"the worker server was killed by {signal_name(-status)}")
        size = self._log.seek(0, os.SEEK_END)
        log = os.pread(self._log.fileno(), TAIL, max(0, size - TAIL)).decode("utf-8", "replace").strip()
        reason = log.splitlines()[-1] if log else f"status {status}"
        return ServerLostError(f"the worker server ended: {reason}")
