"""Timing sessions: variants that are timed together, one session after another, with the machine to themselves.

With ``measure.processes`` above 1, several processes time the same session one after another, and each is a unit of the
statistics. Every block draws the memory layout anew, but some things are drawn once per process: where its libraries
lie, the state of its heap, its core.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from vitbench.declare.quantities import kinds
from vitbench.declare.variant import Variant
from vitbench.records.identity import now
from vitbench.records.record import Record
from vitbench.run.executors.job import Job, Result
from vitbench.run.executors.protocol import Executor
from vitbench.run.job_requests import PROBE
from vitbench.run.planning.trial import Trial
from vitbench.run.progress.observer import Observer
from vitbench.run.store.recorder import Recorder

if TYPE_CHECKING:
    from vitbench.run.measuring_functions import Measured

PER_BLOCK = ("order", "pressure", "steal", "load", "block_seconds")
"""Values of a session that are lists over its blocks."""


@dataclass
class TimingSessions:
    """Runs timing sessions without the variants that cannot take part."""

    executor: Executor
    recorder: Recorder
    watch: Observer
    wait: Callable[[], list[tuple[int, Result]]]  # the next jobs to end
    job_of: Callable[[Trial, str | None], Job]  # the job of a trial; a function that is not its kind's
    probes_at_once: int
    over: Callable[[], bool]  # whether to start no more probes
    _probed: set[str] = field(default_factory=set)
    _excluded: dict[str, dict[str, Result]] = field(default_factory=lambda: defaultdict(dict))  # by kind, by variant

    def probe(self, session: Trial) -> None:
        """Calls each new variant once, in a process of its own; a variant that fails is excluded from its sessions."""
        waiting = [variant for variant in session.variants if variant.name not in self._probed]
        self._probed |= {variant.name for variant in waiting}
        running: dict[int, Variant] = {}
        while True:
            while waiting and len(running) < self.probes_at_once and not self.over():
                variant = waiting.pop()
                trial = dataclasses.replace(session, variants=(variant,), also=())
                running[self.executor.submit(self.job_of(trial, PROBE))] = variant
            if not running:
                return
            for key, result in self.wait():
                variant = running.pop(key)
                if result.status != "ok":
                    for kind in ("train_step",) if result.on == "train_step" else kinds("session"):
                        self._excluded[kind][variant.name] = result

    def run(self, trial: Trial) -> list[Record]:
        """The records of a session. A variant that ends the session is left out of the next attempt."""
        excluded = self._excluded[trial.kind]
        records: list[Record] = []

        def leave_out(variant: Variant, result: Result) -> None:
            records.extend(self.recorder.failure(trial, variant, result))
            self.watch.note(f"{variant.name} is left out of {trial.label}: {result.reason}")

        for variant in trial.variants:
            if variant.name in excluded:
                leave_out(variant, excluded[variant.name])
        left = [v for v in trial.variants if v.name not in excluded]
        baseline = trial.variants[0].name
        reason = excluded[baseline].reason if baseline in excluded else None
        while left and left[0].is_baseline:
            attempt = dataclasses.replace(trial, variants=tuple(left))
            if any(r.session == attempt.session for r in self.recorder.writer.records):
                return records  # it was timed before the variant that failed was added
            result = self._time(attempt)
            if result.status == "ok":
                return records + self.recorder.write(attempt, result)
            culprits = [v for v in left if v.name == result.on] or left
            for variant in culprits:
                leave_out(variant, result)
            left = [v for v in left if v not in culprits]
            reason = result.reason
        no_baseline = Result(status="failed", reason=f"the baseline could not be timed: {reason}", started=now())
        for variant in left:
            leave_out(variant, no_baseline)
        return records

    def _time(self, trial: Trial) -> Result:
        """The result of a session, timed in as many processes as its settings say; the first failure ends it."""
        results: list[Result] = []
        while (number := len(results)) < trial.variants[0].measure.processes:
            cycles = cycles_of(results[0]) if results else None
            result = self._result(self.job_of(dataclasses.replace(trial, process=number, cycles=cycles), None))
            if result.status != "ok":
                return result
            if results and result.environment != results[0].environment:
                results.clear()  # the machine that timed was lost: time all processes again on another one
            else:
                results.append(result)
        return merge_processes(results)

    def _result(self, job: Job) -> Result:
        key, ended = self.executor.submit(job), dict[int, Result]()
        while key not in ended:
            ended = dict(self.wait())
        return ended[key]


def cycles_of(result: Result) -> int | None:
    """The number of cycles per block of a session, so that the next process takes as many; None without samples."""
    wall = result.value[0].samples.get("wall")
    return None if wall is None else len(wall["values"][0]) // 2


def merge_processes(results: Sequence[Result]) -> Result:
    """One result of several processes: their samples in a row, and in ``processes`` the number of units of each.

    Values that differ between the processes become a list.
    """
    if len(results) == 1:
        return results[0]
    return dataclasses.replace(
        results[0],
        value=[_merge_rows(rows) for rows in zip(*(result.value for result in results), strict=True)],
        seconds=sum(result.seconds for result in results),
        losses=tuple(loss for result in results for loss in result.losses),
    )


def _merge_rows(rows: Sequence[Measured]) -> Measured:
    values: dict[str, Any] = {}
    for key in rows[0].values:
        each = [row.values[key] for row in rows]
        if key in PER_BLOCK:
            values[key] = [item for items in each for item in items]
        else:
            values[key] = each[0] if all(value == each[0] for value in each) else each
    samples = {
        key: {**sample, "values": np.concatenate([np.asarray(row.samples[key]["values"]) for row in rows])}
        for key, sample in rows[0].samples.items()
        if all(key in row.samples for row in rows)
    }
    values["processes"] = [len(next(iter(row.samples.values()))["values"]) for row in rows]
    return dataclasses.replace(rows[0], values=values, samples=samples)
