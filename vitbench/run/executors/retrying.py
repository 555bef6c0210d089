"""Jobs whose worker was lost are run again: an executor around another one."""

from __future__ import annotations

import dataclasses
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self

from vitbench.run.executors.job import Job, Result
from vitbench.run.executors.protocol import Executor

ATTEMPTS = 3
"""How often a job is run whose worker, server or node is lost each time."""


@dataclass
class _Attempt:
    job: Job
    losses: list[str] = field(default_factory=list)

    @property
    def last(self) -> bool:
        return len(self.losses) == ATTEMPTS - 1


class Repeating:
    """Repeats what was ``lost``, and only that; the result says how often, and why.

    Args:
        executor: that runs the jobs; it is not closed with this one.
        note: told of what is repeated.
        apart: the last attempt has nothing beside it. Where one server carries all jobs, one that ends it takes the
            others along; the last time it can take none, and they are not lost for good with it.
    """

    def __init__(self, executor: Executor, note: Callable[[str], None], *, apart: bool = False) -> None:
        self._executor, self._note, self._apart = executor, note, apart
        self._keys = itertools.count()
        self._waiting: deque[tuple[int, _Attempt]] = deque()
        self._running: dict[int, tuple[int, _Attempt]] = {}  # the executor's key → ours

    @property
    def cores(self) -> int:
        return self._executor.cores

    @property
    def gpus(self) -> int:
        return self._executor.gpus

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._running)

    def submit(self, job: Job) -> int:
        """Starts the job, after another one's last attempt if there is one."""
        key = next(self._keys)
        self._waiting.append((key, _Attempt(job)))
        self._begin()
        return key

    def wait(self, timeout: float | None = None, also: Sequence[int] = ()) -> list[tuple[int, Result]]:
        """As the executor's; may be empty after a loss."""
        ended = []
        for theirs, result in self._executor.wait(timeout, also):
            key, attempt = self._running.pop(theirs)
            if result.lost and not attempt.last:
                attempt.losses.append(result.reason or "lost")
                self._waiting.appendleft((key, attempt))
                self._note(f"run again, attempt {len(attempt.losses) + 1} of {ATTEMPTS}: {result.reason}")
            else:
                ended.append((key, _told(result, attempt.losses)))
        self._begin()
        return ended

    def cancel(self) -> None:
        """Ends every job; nobody hears of their results."""
        self._waiting.clear()
        self._executor.cancel()
        self._running.clear()

    def close(self) -> None:
        """As ``cancel``: the executor stays."""
        self.cancel()

    def _begin(self) -> None:
        while self._waiting:
            key, attempt = self._waiting[0]
            beside = [other for _, other in self._running.values()]
            if self._apart and beside and any(one.last for one in (attempt, *beside)):
                return
            self._waiting.popleft()
            self._running[self._executor.submit(attempt.job)] = key, attempt


def _told(result: Result, losses: Sequence[str]) -> Result:
    if not result.lost:
        return dataclasses.replace(result, losses=tuple(losses))
    reason = f"lost {len(losses) + 1} times, at last because {result.reason}"
    return dataclasses.replace(result, reason=reason, losses=(*losses, result.reason or "lost"))
