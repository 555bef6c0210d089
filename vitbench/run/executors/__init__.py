"""Executors: where jobs run, each in a process of its own, on this machine or as tasks of Ray on many.

An executor (``protocol``) takes a ``job`` and gives back its result, however the job ended. ``local`` starts processes
on this machine, ``ray`` on a cluster. A ``wrapper`` around either of them retries lost jobs (``retrying``) or shares
the GPUs of this machine among jobs (``gpus``).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from vitbench.run.executors.job import Job, Result
    from vitbench.run.executors.protocol import Executor

ExecutorName: TypeAlias = Literal["local", "ray"]


def open_executor(
    name: ExecutorName = "local", *, address: str | None = None, threads: int, import_path: Path | None
) -> Executor:
    """Starts the executor of this machine (``local``), or of the Ray cluster at an address (``ray``).

    ``threads`` is the number of threads of numerical libraries in every job, ``import_path`` a folder where jobs find
    modules too: the one of the ablation file.

    Raises:
        UserError: Ray is not installed, or no cluster answers.
    """
    if name == "ray":
        from vitbench.run.executors.ray.executor import RayExecutor

        return RayExecutor(address=address, threads=threads, import_path=import_path)
    if address is not None:
        from vitbench.utils.errors import UserError

        raise UserError(f"--ray-address {address} needs Ray: type --executor ray too")
    from vitbench.run.executors.local.executor import LocalExecutor

    return LocalExecutor(threads=threads, import_path=import_path)


def run_all(executor: Executor, jobs: Sequence[Job], at_once: int = 1) -> Iterator[tuple[int, Result]]:
    """Runs the jobs, ``at_once`` at a time; yields the index and result of each as it ends."""
    waiting = iter(enumerate(jobs))
    indices: dict[int, int] = {}
    while True:
        for index, job in itertools.islice(waiting, at_once - len(indices)):
            indices[executor.submit(job)] = index
        if not indices:
            return
        for key, result in executor.wait():
            yield indices.pop(key), result
