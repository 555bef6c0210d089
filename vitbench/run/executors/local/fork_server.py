"""The fork server: a process that has imported torch and run no operation, and forks a child for each job.

A fork costs milliseconds; a new interpreter that imports torch costs more than a second. The server receives requests
over a socket, in JSON with file descriptors: ``{"fork": key}`` with the job's pipe, a file for its output and its
board, or ``{"kill": key}``. It answers ``{"ended": key, "status": wait status}``, or ``{"ended": key, "refused": why}``
if the kernel gave it no process (too many processes, too little memory). When the socket closes, because the scheduler
ended or was killed, the server kills its children and exits; when the server is killed, the kernel kills its children.

The fork server of multiprocessing imports the parent's main module into every child, and cannot be restarted with
other thread settings.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import resource
import select
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from vitbench.run.environment import KEEP_MEMORY

PRELOAD = (
    "vitbench.run.executors.job",
    "vitbench.run.measuring_functions",
    "vitbench.run.training_functions",
    "torch",
    "torch._dynamo",  # optimizers and fake tensors import it on first use: a second and a half each time
    "fvcore.nn",
    "vitbench.data.registry",
    "vitbench.data.digits",
    "vitbench.measure.accuracy",
    "vitbench.measure.counts.flops",
    "vitbench.measure.peak_memory.all_methods",
    "vitbench.measure.peak_memory.modelled",
    "vitbench.measure.timing.session",
    "vitbench.measure.timing.throughput",
)
PR_SET_PDEATHSIG = 1
MESSAGE = 65536
"""The largest message in bytes."""


def serve(channel: int, preload: Sequence[str] = PRELOAD) -> None:
    """Serves the socket ``channel`` until its other end closes."""
    control = socket.socket(fileno=channel)
    for module in preload:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # a collection in a child would write to, and so copy, every page that it shares with this process
    woken, wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    children: dict[int, int] = {}  # key → process id
    control.send(json.dumps({"ready": os.getpid()}).encode())
    while True:
        readable, _, _ = select.select([control.fileno(), woken], [], [])
        if woken in readable:
            os.read(woken, MESSAGE)
            for key, status in _reap(children):
                control.send(json.dumps({"ended": key, "status": status}).encode())
        if control.fileno() in readable:
            data, fds, _, _ = socket.recv_fds(control, MESSAGE, 3)
            if not data:
                break
            request = json.loads(data)
            if "kill" in request:
                _kill(children.get(request["kill"]))
            else:
                try:
                    children[request["fork"]] = _fork(fds, request, [control.fileno(), woken, wakeup])
                except OSError as error:
                    control.send(json.dumps({"ended": request["fork"], "refused": error.strerror}).encode())
                for fd in fds:
                    os.close(fd)
    for pid in children.values():
        _kill(pid)
    os._exit(0)


def _reap(children: dict[int, int]) -> list[tuple[int, int]]:
    """The key and wait status of every child that has ended; what it left running in its session is killed first."""
    ended = []
    for key, pid in list(children.items()):
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            _kill(pid)  # it is still a zombie, so no other process has its number
            _, status = os.waitpid(pid, 0)
            ended.append((key, status))
            del children[key]
    return ended


def _kill(pid: int | None) -> None:
    if pid is not None:
        for kill in (os.killpg, os.kill):  # the whole session, or the process alone if it has no session yet
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(pid, signal.SIGKILL)


def _fork(fds: Sequence[int], request: Mapping[str, Any], own_fds: Sequence[int]) -> int:
    server = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        _run_child(fds, request, own_fds, server)
    finally:
        os._exit(70)


def _run_child(fds: Sequence[int], request: Mapping[str, Any], own_fds: Sequence[int], server: int) -> NoReturn:
    os.setsid()  # Ctrl-C in the terminal goes to the scheduler alone
    die_with_parent(server)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for fd in own_fds:
        os.close(fd)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
        file.write("500")  # if memory runs out, the kernel kills this process before the scheduler
    channel, output, board = fds
    with open(os.devnull) as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if request.get("spawn"):
        os.set_inheritable(channel, True)
        os.set_inheritable(board, True)
        main = f"from vitbench.run.executors.job import work; work({channel}, {board})"
        code = f"import sys; sys.path[:] = {sys.path!r}; {main}"
        inherited = {key: value for key, value in os.environ.items() if key not in KEEP_MEMORY}  # the job sets its own
        environment = {**inherited, **request["env"]}
        os.execve(sys.executable, [sys.executable, "-c", code], environment)  # noqa: S606  # this interpreter, our code
    from vitbench.run.executors.job import work

    work(channel, board)
    os._exit(70)


def die_with_parent(parent: int) -> None:
    """Asks the kernel to kill this process when its parent ends, however it ends. Does nothing outside Linux."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(70)  # the parent ended before the request
