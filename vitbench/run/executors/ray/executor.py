"""The executor of many machines: jobs are tasks of Ray, each on the node that has what it needs.

Tasks are submitted with Ray's own retries off: what is lost with a worker or a node is said to be lost, so that whoever
asked can ask again, and note that.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import queue
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Self

from vitbench.records.identity import now
from vitbench.run.executors.job import Job, Result
from vitbench.run.executors.local.executor import GOES_ON
from vitbench.run.executors.ray import cluster, worker
from vitbench.run.executors.ray.cluster import LOOK_S, Joined, Node, last_line
from vitbench.run.executors.ray.payload import Home, put, read_by
from vitbench.utils.errors import UserError


@dataclass(frozen=True)
class _Task:
    job: Job
    reference: Any
    future: Any
    started: str = field(default_factory=now)
    start: float = field(default_factory=time.monotonic)


class RayExecutor:
    """Starts jobs as tasks of a Ray cluster and hands back their results, in the order in which they end.

    Args:
        address: of the cluster (``cluster.connect``).
        threads: of numerical libraries in every job, set before they are imported.
        import_path: a folder where jobs find modules too; its modules travel to the nodes.

    Raises:
        UserError: Ray is not installed, or no cluster answers.
    """

    def __init__(self, *, address: str | None = None, threads: int = 1, import_path: Path | None = None) -> None:
        cluster.connect(address)
        self._ray = cluster.ray()
        self._work = self._ray.remote(max_retries=0, max_calls=0)(worker.work)
        self._home = self._ray.put(Home.of(threads, import_path))
        self._keys = itertools.count()
        self._tasks: dict[int, _Task] = {}
        self._ended: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._heard, self._bell = socket.socketpair()
        self._contents: dict[tuple[Path, int], Any] = {}  # of files that were sent
        self._joined = Joined()
        self._timing: str | None = None
        self._known = self.cores

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def nodes(self) -> list[Node]:
        """That live now.

        Raises:
            UserError: the head is gone.
        """
        return self._joined.nodes

    @property
    def cores(self) -> int:
        """Of all nodes; more when one joins."""
        return max(1, sum(node.cores for node in self.nodes))

    @property
    def gpus(self) -> int:
        """Of all nodes."""
        return sum(node.gpus for node in self.nodes)

    def __len__(self) -> int:
        """Jobs that run, or wait for a place."""
        return len(self._tasks)

    def close(self) -> None:
        """Ends every job, and the connection; of a cluster of its own every process."""
        if self._joined.answers():
            self.cancel()
        self._ray.shutdown()
        self._heard.close()
        self._bell.close()

    def cancel(self) -> None:
        """Ends every job; nobody hears of their results."""
        for task in self._tasks.values():
            self._ray.cancel(task.reference, force=True)
        self._tasks.clear()

    def submit(self, job: Job) -> int:
        """Hands the job to Ray, which starts it when a node has room; the key is that of its result.

        Raises:
            UserError: no node has what it needs.
        """
        key = next(self._keys)
        contents = [self._sent(path) for path in read_by(job).values()]
        reference = self._work.options(**self._needs(job)).remote(self._home, job, *contents)
        self._tasks[key] = _Task(job, reference, reference.future())
        self._tasks[key].future.add_done_callback(lambda _: self._ring(key))
        return key

    def wait(self, timeout: float | None = None, also: Sequence[int] = ()) -> list[tuple[int, Result]]:
        """The jobs that have ended since the last call; waits for something to happen, a node that joins included.

        Args:
            timeout: in seconds; None: until something happens.
            also: file descriptors that end the wait when they become readable.

        Raises:
            UserError: no node has what a job needs any more; nothing that was recorded is lost.
        """
        end = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            ready = wait([self._heard, *also], max(0.0, min(LOOK_S, end - time.monotonic())))
            if self._heard in ready:
                self._heard.recv(4096)
            ended = [key for key in self._silent() if key in self._tasks]
            grown, self._known = self.cores > self._known, self.cores
            if ended or grown or any(fd in ready for fd in also) or time.monotonic() >= end:
                return [(key, self._result(self._tasks.pop(key))) for key in ended]
            for task in self._tasks.values():
                self._needs(task.job)

    def _ring(self, key: int) -> None:
        """Called from a thread of Ray's."""
        self._ended.put(key)
        with contextlib.suppress(OSError):  # closed
            self._bell.send(b"!")

    def _silent(self) -> list[int]:
        """The keys of tasks that have ended and were not spoken of yet."""
        keys: list[int] = []
        with contextlib.suppress(queue.Empty):
            while True:
                keys.append(self._ended.get_nowait())
        return keys

    def _needs(self, job: Job) -> dict[str, Any]:
        """What Ray is asked to reserve: the whole of one node for a job that must be alone.

        Raises:
            UserError: no node has that.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        if job.alone:
            node = cluster.for_timing(self.nodes, job.gpus, self._timing)
            if node is None:
                raise UserError(_nowhere(job))
            self._timing = node.id
            there = NodeAffinitySchedulingStrategy(node.id, soft=False)
            return {"num_cpus": node.cores, "num_gpus": node.gpus if job.gpus else 0, "scheduling_strategy": there}
        able = [node for node in self.nodes if node.cores >= 1 and node.gpus >= job.gpus]
        if not able:
            raise UserError(_nowhere(job))
        return {
            "num_cpus": min(job.cores, max(node.cores for node in able)),
            "num_gpus": job.gpus,
            "memory": 0 if job.gpus else min(job.memory_bytes, max(node.memory_bytes for node in able)),
        }

    def _sent(self, path: Path) -> Any:
        """The contents of a file in Ray's store, put there once."""
        state = path, path.stat().st_mtime_ns
        if state not in self._contents:
            self._contents[state] = self._ray.put(path.read_bytes())
        return self._contents[state]

    def _result(self, task: _Task) -> Result:
        """What came of a task, its files written.

        Raises:
            UserError: what is installed on its node does not do; every trial there would end like that.
        """
        common: dict[str, Any] = {"started": task.started, "seconds": time.monotonic() - task.start}
        result: Result
        try:
            result, files = task.future.result()
        except self._ray.exceptions.RayTaskError as error:
            why = str(error.cause) if isinstance(error.cause, UserError) else last_line(str(error))
            raise UserError(f"a node of the Ray cluster cannot run trials: {why}; {GOES_ON}") from error
        except self._ray.exceptions.OutOfMemoryError as error:
            return Result(status="oom", reason=_said(error), lost=True, **common)
        except self._ray.exceptions.RayError as error:
            return Result(status="failed", reason=_said(error), lost=True, **common)
        put(files)
        return result


def _nowhere(job: Job) -> str:
    what = f"{job.gpus:g} GPU" if job.gpus else "a core"
    return f"no node of the Ray cluster has {what}: start one that has (ray start --address …); {GOES_ON}"


def _said(error: Exception) -> str:
    """What Ray says of a loss, less its advice: the first two sentences."""
    text = " ".join(str(error).split()) or type(error).__name__
    return "lost by Ray: " + ". ".join(text.split(". ")[:2])[:300].rstrip(".")
