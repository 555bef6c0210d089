"""The base of executors that decide when another executor starts each job."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from vitbench.run.executors.job import Job, Result
from vitbench.run.executors.protocol import Executor


class ExecutorWrapper(Executor):
    """Keeps jobs in a queue until ``_start_waiting`` submits them to another executor.

    Args:
        executor: the executor that runs the jobs; ``close`` leaves it open.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._keys = itertools.count()
        self._waiting: dict[int, Job] = {}  # by key, in order
        self._running: dict[int, tuple[int, Job]] = {}  # key in the other executor → own key, job

    @property
    def cores(self) -> int:
        return self._executor.cores

    @property
    def gpus(self) -> int:
        return self._executor.gpus

    def __len__(self) -> int:
        return len(self._waiting) + len(self._running)

    def submit(self, job: Job) -> int:
        """Starts the job now or when its turn comes."""
        key = next(self._keys)
        self._waiting[key] = job
        self._start_waiting()
        return key

    def wait(self, timeout: float | None = None, also: Sequence[int] = ()) -> list[tuple[int, Result]]:
        """As ``Executor.wait``; the list may be empty although a job has ended."""
        ended = []
        for inner_key, result in self._executor.wait(timeout, also):
            key, job = self._running.pop(inner_key)
            if (final := self._final(key, job, result)) is not None:
                ended.append((key, final))
        self._start_waiting()
        return ended

    def cancel(self) -> None:
        self._waiting.clear()
        self._executor.cancel()
        self._running.clear()

    def close(self) -> None:
        self.cancel()

    def _start(self, key: int, job: Job) -> None:
        """Submits a waiting job."""
        self._waiting.pop(key)
        self._running[self._executor.submit(job)] = key, job

    def _final(self, key: int, job: Job, result: Result) -> Result | None:  # noqa: ARG002  # for subclasses
        """The result to hand on; None if the job waits for another start."""
        return result

    def _start_waiting(self) -> None:
        """Starts every waiting job that may start now."""
        raise NotImplementedError
