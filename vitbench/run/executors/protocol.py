"""What runs jobs: on this machine (``local``), or on many."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, Self

from vitbench.run.executors.job import Job, Result
from vitbench.utils.errors import UserError


class Executor(Protocol):
    """Starts jobs and hands back their results, in the order in which they end."""

    @property
    def cores(self) -> int:
        """How many trainings of one core each it can run at once; may grow."""

    @property
    def gpus(self) -> int:
        """GPUs that it shares out among jobs; 0: it does not, every job sees those that there are."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def __len__(self) -> int:
        """Jobs that run, or wait for a place."""

    def submit(self, job: Job) -> int:
        """Starts the job; the key is that of its result."""

    def wait(self, timeout: float | None = None, also: Sequence[int] = ()) -> list[tuple[int, Result]]:
        """The jobs that have ended since the last call, with their keys; waits for something to happen.

        Args:
            timeout: in seconds; None: until something happens.
            also: file descriptors that end the wait when they become readable.

        Raises:
            UserError: no job can run here any more; nothing that was recorded is lost.
        """

    def cancel(self) -> None:
        """Ends every job; nobody hears of their results."""

    def close(self) -> None:
        """Ends every job, and what ran them."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where jobs are to run.

    Attributes:
        executor: ``local``, this machine, or ``ray``.
        address: of a Ray cluster; None: the one of this machine alone.
    """

    executor: Literal["local", "ray"] = "local"
    address: str | None = None

    def open(self, *, threads: int, import_path: Path | None) -> Executor:
        """An executor there.

        Args:
            threads: of numerical libraries in every job.
            import_path: a folder where jobs find modules too: the ablation file's.

        Raises:
            UserError: Ray is asked for and not installed, or no cluster answers.
        """
        if self.executor == "ray":
            from vitbench.run.executors.ray.executor import RayExecutor

            return RayExecutor(address=self.address, threads=threads, import_path=import_path)
        if self.address is not None:
            raise UserError(f"--ray-address {self.address} is for Ray: type --executor ray too")
        from vitbench.run.executors.local.executor import LocalExecutor

        return LocalExecutor(threads=threads, import_path=import_path)


def run_all(executor: Executor, jobs: Sequence[Job], at_once: int = 1) -> Iterator[tuple[int, Result]]:
    """Runs the jobs, so many at once; yields each one's index and result as it ends."""
    waiting = iter(enumerate(jobs))
    indices: dict[int, int] = {}
    while True:
        for index, job in itertools.islice(waiting, at_once - len(indices)):
            indices[executor.submit(job)] = index
        if not indices:
            return
        for key, result in executor.wait():
            yield indices.pop(key), result
