"""Runs jobs again whose worker was lost."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable

from vitbench.run.executors.job import Job, Result
from vitbench.run.executors.protocol import Executor
from vitbench.run.executors.wrapper import ExecutorWrapper

ATTEMPTS = 3
"""How often a job is started before its loss counts as a failure."""


class RetryingExecutor(ExecutorWrapper):
    """Repeats jobs that were ``lost``, and no others; the result lists the losses.

    Args:
        executor: the executor that runs the jobs; ``close`` leaves it open.
        note: told about each retry.
        isolate_last: runs nothing beside the last attempt of a job. If one server carries all jobs, a job that kills
            the server takes the others with it; this way their own last attempt is not lost to it.
    """

    def __init__(self, executor: Executor, note: Callable[[str], None], *, isolate_last: bool = False) -> None:
        super().__init__(executor)
        self._note, self._isolate_last = note, isolate_last
        self._losses: defaultdict[int, list[str]] = defaultdict(list)  # by key

    def cancel(self) -> None:
        super().cancel()
        self._losses.clear()

    def _final(self, key: int, job: Job, result: Result) -> Result | None:
        last = self._is_last(key)
        losses = self._losses.pop(key, [])
        if not result.lost:
            return dataclasses.replace(result, losses=tuple(losses))
        reason = result.reason or "lost"
        losses.append(reason)
        if last:
            reason = f"lost {len(losses)} times, the last time because {reason}"
            return dataclasses.replace(result, reason=reason, losses=tuple(losses))
        self._losses[key] = losses
        self._waiting = {key: job, **self._waiting}
        self._note(f"run again, attempt {len(losses) + 1} of {ATTEMPTS}: {reason}")
        return None

    def _is_last(self, key: int) -> bool:
        return len(self._losses.get(key, ())) == ATTEMPTS - 1

    def _start_waiting(self) -> None:
        for key, job in list(self._waiting.items()):
            running = [other for other, _ in self._running.values()]
            if self._isolate_last and running and any(map(self._is_last, (key, *running))):
                return
            self._start(key, job)
