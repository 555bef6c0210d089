"""The executor of many machines: jobs are tasks of Ray, each on a node that has what it needs.

Ray's own retries are off: a job whose worker or node was lost is reported as ``lost``, so that the caller can note it
and start it again.
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
from typing import Any

from vitbench.records.identity import now
from vitbench.run.executors.job import RESUME, Job, Result
from vitbench.run.executors.protocol import Executor
from vitbench.run.executors.ray import cluster, worker
from vitbench.run.executors.ray.cluster import LOOK_S, Cluster, Node, last_line
from vitbench.run.executors.ray.payload import SchedulerInfo, input_files, write_files
from vitbench.utils.errors import UserError


@dataclass(frozen=True)
class _Task:
    job: Job
    reference: Any
    future: Any
    started: str = field(default_factory=now)
    start: float = field(default_factory=time.monotonic)


class RayExecutor(Executor):
    """Starts jobs as tasks of a Ray cluster.

    Args:
        address: the address of the cluster (``cluster.connect``).
        threads: the number of threads of numerical libraries in every job, set before these are imported.
        import_path: a folder where jobs find modules too; its modules travel to the nodes.

    Raises:
        UserError: Ray is not installed, or no cluster answers.
    """

    def __init__(self, *, address: str | None = None, threads: int = 1, import_path: Path | None = None) -> None:
        cluster.connect(address)
        self._ray = cluster.ray()
        self._work = self._ray.remote(max_retries=0, max_calls=0)(worker.work)
        self._scheduler = self._ray.put(SchedulerInfo.of(threads, import_path))
        self._keys = itertools.count()
        self._tasks: dict[int, _Task] = {}
        self._ended: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._wakeup, self._bell = socket.socketpair()
        self._contents: dict[tuple[Path, int], Any] = {}  # of files in Ray's store
        self._cluster = Cluster()
        self._timing_node: str | None = None
        self._known_cores = self.cores

    @property
    def nodes(self) -> list[Node]:
        """The live nodes.

        Raises:
            UserError: the head is lost.
        """
        return self._cluster.nodes

    @property
    def cores(self) -> int:
        """The cores of all nodes; more when a node joins."""
        return max(1, sum(node.cores for node in self.nodes))

    @property
    def gpus(self) -> int:
        return sum(node.gpus for node in self.nodes)

    def __len__(self) -> int:
        return len(self._tasks)

    def close(self) -> None:
        """Ends every job and the connection; a cluster of this machine alone ends too."""
        if self._cluster.answers():
            self.cancel()
        self._ray.shutdown()
        self._wakeup.close()
        self._bell.close()

    def cancel(self) -> None:
        for task in self._tasks.values():
            self._ray.cancel(task.reference, force=True)
        self._tasks.clear()

    def submit(self, job: Job) -> int:
        """Hands the job to Ray, which starts it when a node has room.

        Raises:
            UserError: no node has what it needs.
        """
        key = next(self._keys)
        contents = [self._put(path) for path in input_files(job).values()]
        reference = self._work.options(**self._resources(job)).remote(self._scheduler, job, *contents)
        self._tasks[key] = _Task(job, reference, reference.future())
        self._tasks[key].future.add_done_callback(lambda _: self._ring(key))
        return key

    def wait(self, timeout: float | None = None, also: Sequence[int] = ()) -> list[tuple[int, Result]]:
        """As ``Executor.wait``; a node that joins ends the wait too.

        Raises:
            UserError: no node has what a job needs any more; recorded results are kept.
        """
        end = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            ready = wait([self._wakeup, *also], max(0.0, min(LOOK_S, end - time.monotonic())))
            if self._wakeup in ready:
                self._wakeup.recv(4096)
            ended = [key for key in self._take_ended() if key in self._tasks]
            grown, self._known_cores = self.cores > self._known_cores, self.cores
            if ended or grown or any(fd in ready for fd in also) or time.monotonic() >= end:
                return [(key, self._result(self._tasks.pop(key))) for key in ended]
            for task in self._tasks.values():
                self._resources(task.job)

    def _ring(self, key: int) -> None:
        """Wakes ``wait``; called from a thread of Ray."""
        self._ended.put(key)
        with contextlib.suppress(OSError):  # closed
            self._bell.send(b"!")

    def _take_ended(self) -> list[int]:
        """The keys of tasks that have ended since the last call."""
        keys: list[int] = []
        with contextlib.suppress(queue.Empty):
            while True:
                keys.append(self._ended.get_nowait())
        return keys

    def _resources(self, job: Job) -> dict[str, Any]:
        """What Ray reserves for a job: a whole node if it must be alone.

        Raises:
            UserError: no node has that.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        if job.alone:
            node = cluster.timing_node(self.nodes, job.gpus, self._timing_node)
            if node is None:
                raise UserError(_no_node(job))
            self._timing_node = node.id
            strategy = NodeAffinitySchedulingStrategy(node.id, soft=False)
            return {"num_cpus": node.cores, "num_gpus": node.gpus if job.gpus else 0, "scheduling_strategy": strategy}
        able = [node for node in self.nodes if node.cores >= 1 and node.gpus >= job.gpus]
        if not able:
            raise UserError(_no_node(job))
        return {
            "num_cpus": min(job.cores, max(node.cores for node in able)),
            "num_gpus": job.gpus,
            "memory": 0 if job.gpus else min(job.memory_bytes, max(node.memory_bytes for node in able)),
        }

    def _put(self, path: Path) -> Any:
        """The contents of a file in Ray's store; each version of a file is put there once."""
        version = path, path.stat().st_mtime_ns
        if version not in self._contents:
            self._contents[version] = self._ray.put(path.read_bytes())
        return self._contents[version]

    def _result(self, task: _Task) -> Result:
        """The result of a task, after its output files are written.

        Raises:
            UserError: the installation on its node cannot run trials; every trial there would end like this one.
        """
        common: dict[str, Any] = {"started": task.started, "seconds": time.monotonic() - task.start}
        result: Result
        try:
            result, files = task.future.result()
        except self._ray.exceptions.RayTaskError as error:
            reason = str(error.cause) if isinstance(error.cause, UserError) else last_line(str(error))
            raise UserError(f"a node of the Ray cluster cannot run trials: {reason}; {RESUME}") from error
        except self._ray.exceptions.OutOfMemoryError as error:
            return Result(status="oom", reason=_loss(error), lost=True, **common)
        except self._ray.exceptions.RayError as error:
            return Result(status="failed", reason=_loss(error), lost=True, **common)
        write_files(files)
        return result


def _no_node(job: Job) -> str:
    need = f"{job.gpus:g} GPU" if job.gpus else "a core"
    return f"no node of the Ray cluster has {need}: start one that has (ray start --address …); {RESUME}"


def _loss(error: Exception) -> str:
    """The first two sentences of Ray's message about a loss; its advice follows these."""
    text = " ".join(str(error).split()) or type(error).__name__
    return "lost by Ray: " + ". ".join(text.split(". ")[:2])[:300].rstrip(".")
