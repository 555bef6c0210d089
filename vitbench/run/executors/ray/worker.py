"""What runs on a node: each of Ray's worker processes keeps a local executor, so that jobs are isolated there too.

A crash, a time-out or a want of memory is then the same result as on one machine, and the start-up of a fork server is
paid once a worker process. It ends with that process.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from pathlib import Path
from typing import Any

from vitbench.records.identity import now
from vitbench.records.record import Environment
from vitbench.run import environment
from vitbench.run.executors.gpus import VISIBLE
from vitbench.run.executors.job import Job, Result
from vitbench.run.executors.local.executor import LocalExecutor
from vitbench.run.executors.ray.payload import Home, left_by, unpacked, what_is_installed
from vitbench.run.planning.trial import Trial
from vitbench.utils.errors import UserError


class Node:
    """One worker process' executor, and what its machine is.

    Args:
        home: of the scheduler.
        name: of the node in the cluster.

    Raises:
        UserError: another vitbench is installed here than the scheduler's.
    """

    def __init__(self, home: Home, name: str) -> None:
        if (here := what_is_installed()) != home.installed:
            raise UserError(f"node {name} has {here}, the scheduler {home.installed}: install the same on both")
        self._home, self._name = home, name
        self._folder = home.settle()
        self._executor: LocalExecutor | None = None
        self._environments: dict[str, Environment] = {}

    def run(self, job: Job) -> Result:
        """The result of a job, with the environment of a trial."""
        if job.gpus and VISIBLE in os.environ:  # so Ray says which it is; the fork server was started before it did
            job = dataclasses.replace(job, env={**job.env, VISIBLE: os.environ[VISIBLE]})
        try:
            environment = self._environment(job) if isinstance(job.payload, Trial) else None
            return dataclasses.replace(self._ended(job), environment=environment)
        except UserError as error:  # the fork server cannot be kept alive
            self._close()
            return Result(status="failed", reason=f"on {self._name}: {error}", started=now(), lost=True)

    def _ended(self, job: Job) -> Result:
        if self._executor is None:
            self._executor = LocalExecutor(threads=self._home.threads, import_path=self._folder)
        self._executor.submit(job)
        while not (ended := self._executor.wait()):
            pass
        ((_, result),) = ended
        return result

    def _environment(self, job: Job) -> Environment:
        device = job.payload.device if job.gpus else "cpu"
        if device not in self._environments:
            asking = Job(function="vitbench.run.preflight:facts", payload=device, spawn=job.gpus > 0, env=job.env)
            facts = self._ended(asking)
            if facts.status != "ok":
                raise UserError(facts.reason or facts.status)
            body = environment.environment(facts.value, threads=self._home.threads).body
            self._environments[device] = Environment({**body, "node": self._name})
        return self._environments[device]

    def _close(self) -> None:
        if self._executor is not None:
            self._executor.close()
            self._executor = None


_nodes: dict[str, Node] = {}


def work(home: Home, job: Job, *contents: bytes) -> tuple[Result, dict[Path, bytes]]:
    """Ray's task: the result of a job, and the files that it leaves in the results folder.

    Args:
        home: of the scheduler.
        job: to be run.
        contents: of the files that it reads (``ray_parcel.read_by``).

    Raises:
        UserError: trials cannot run on this node.
    """
    if home.key not in _nodes:
        _nodes[home.key] = Node(home, _name())
    with tempfile.TemporaryDirectory(prefix="vitbench-") as place:
        ran = unpacked(job, contents, Path(place))
        result = _nodes[home.key].run(ran)
        return result, left_by(job, ran) if result.status == "ok" else {}


def _name() -> str:
    """This node's name in the cluster: as ``ray start --node-name`` gave it, else its address."""
    import ray

    here = ray.get_runtime_context().get_node_id()
    nodes: list[dict[str, Any]] = ray.nodes()
    return next(str(node["NodeName"]) for node in nodes if node["NodeID"] == here)
