"""What runs on a node: each worker process of Ray keeps a local executor, so that jobs are isolated there too.

A crash, a timeout or a lack of memory then gives the same result as on one machine, and a fork server starts only once
per worker process. It ends with that process.
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
from vitbench.run.executors.ray.payload import SchedulerInfo, for_node, installed_version, output_files
from vitbench.run.planning.trial import Trial
from vitbench.utils.errors import UserError


class NodeWorker:
    """The executor of one worker process, and the environment of its machine.

    Raises:
        UserError: the node has another vitbench than the scheduler.
    """

    def __init__(self, scheduler: SchedulerInfo, name: str) -> None:
        if (here := installed_version()) != scheduler.installed:
            raise UserError(f"node {name} has {here}, the scheduler {scheduler.installed}: install the same on both")
        self._threads, self._name = scheduler.threads, name
        self._folder = scheduler.set_up_node()
        self._executor: LocalExecutor | None = None
        self._environments: dict[str, Environment] = {}

    def run(self, job: Job) -> Result:
        """The result of a job; for a trial, with the environment."""
        if job.gpus and VISIBLE in os.environ:  # Ray assigns a GPU after the fork server has started
            job = dataclasses.replace(job, env={**job.env, VISIBLE: os.environ[VISIBLE]})
        try:
            environment = self._environment(job) if isinstance(job.payload, Trial) else None
            return dataclasses.replace(self._result(job), environment=environment)
        except UserError as error:  # the fork server cannot be kept alive
            self._close()
            return Result(status="failed", reason=f"on {self._name}: {error}", started=now(), lost=True)

    def _result(self, job: Job) -> Result:
        if self._executor is None:
            self._executor = LocalExecutor(threads=self._threads, import_path=self._folder)
        self._executor.submit(job)
        while not (ended := self._executor.wait()):
            pass
        ((_, result),) = ended
        return result

    def _environment(self, job: Job) -> Environment:
        device = job.payload.device if job.gpus else "cpu"
        if device not in self._environments:
            request = Job(
                function="vitbench.run.preflight:torch_facts", payload=device, spawn=job.gpus > 0, env=job.env
            )
            facts = self._result(request)
            if facts.status != "ok":
                raise UserError(facts.reason or facts.status)
            body = environment.environment(facts.value, threads=self._threads).body
            self._environments[device] = Environment({**body, "node": self._name})
        return self._environments[device]

    def _close(self) -> None:
        if self._executor is not None:
            self._executor.close()
            self._executor = None


_workers: dict[str, NodeWorker] = {}


def work(scheduler: SchedulerInfo, job: Job, *contents: bytes) -> tuple[Result, dict[Path, bytes]]:
    """The task that Ray runs: from a job and its input files to the result and the output files.

    Raises:
        UserError: trials cannot run on this node.
    """
    if scheduler.key not in _workers:
        _workers[scheduler.key] = NodeWorker(scheduler, _node_name())
    with tempfile.TemporaryDirectory(prefix="vitbench-") as folder:
        node_job = for_node(job, contents, Path(folder))
        result = _workers[scheduler.key].run(node_job)
        return result, output_files(job, node_job) if result.status == "ok" else {}


def _node_name() -> str:
    """The name of this node: as given to ``ray start --node-name``, otherwise its address."""
    import ray

    here = ray.get_runtime_context().get_node_id()
    nodes: list[dict[str, Any]] = ray.nodes()
    return next(str(node["NodeName"]) for node in nodes if node["NodeID"] == here)
