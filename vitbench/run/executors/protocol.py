"""The protocol of an executor: what the sweep uses, whichever machines the jobs run on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Self

from vitbench.run.executors.job import Job, Result


class Executor(Protocol):
    """Starts jobs and returns their results in the order in which they end."""

    @property
    def cores(self) -> int:
        """The number of cores for jobs; it may grow."""

    @property
    def gpus(self) -> int:
        """The number of GPUs that it shares among jobs; 0: every job sees all GPUs of its machine."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        """The number of jobs that run or wait."""

    def submit(self, job: Job) -> int:
        """Starts the job and returns the key of its result."""

    def wait(self, timeout: float | None = None, also: Sequence[int] = ()) -> list[tuple[int, Result]]:
        """The key and result of each job that ended since the last call; waits for something to happen.

        Args:
            timeout: the longest wait in seconds; None: no limit.
            also: file descriptors that end the wait when they become readable.

        Raises:
            UserError: no job can run any more; recorded results are kept.
        """

    def cancel(self) -> None:
        """Ends every job and drops the results."""

    def close(self) -> None:
        """Ends every job, and the processes that ran them."""
