"""Timing sessions: one after another with the machine to themselves, and without those who cannot take part."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from vitbench.declare.ablation import Variant
from vitbench.records.identity import now
from vitbench.records.record import Record
from vitbench.run.executors.job import Job, Result
from vitbench.run.executors.protocol import Executor
from vitbench.run.job_requests import PROBE
from vitbench.run.merge_processes import cycles_of, joined
from vitbench.run.planning.trial import Trial
from vitbench.run.progress.observer import Observer
from vitbench.run.store.recorder import Recorder

Barred: TypeAlias = dict[str, dict[str, Result]]
"""By kind: the variants that cannot be timed, and why."""


@dataclass
class Timing:
    """Runs the sessions of a sweep.

    ``wait`` gives the next jobs to end, ``job_of`` the job that a trial is, ``over`` whether no probe is to be begun.
    """

    executor: Executor
    recorder: Recorder
    watch: Observer
    wait: Callable[[], list[tuple[int, Result]]]
    job_of: Callable[[Trial, str | None], Job]
    device: str
    over: Callable[[], bool]

    def probe(self, session: Trial, variants: Sequence[Variant], barred: Barred) -> None:
        """One call of each variant, in a process of its own; who fails is noted under all kinds that it concerns."""
        queue = list(variants)
        running: dict[int, Variant] = {}
        at_once = self.executor.cores if self.device == "cpu" else 1
        while True:
            while queue and len(running) < at_once and not self.over():
                variant = queue.pop()
                trial = dataclasses.replace(session, variants=(variant,), also=())
                running[self.executor.submit(self.job_of(trial, PROBE))] = variant
            if not running:
                return
            for key, result in self.wait():
                variant = running.pop(key)
                if result.status != "ok":
                    only = ["train_step"] if result.on == "train_step" else list(barred)
                    for kind in only:
                        if kind in barred:
                            barred[kind][variant.name] = result

    def _timed(self, trial: Trial) -> Result:
        """The session, in as many processes as its settings say, one after another; the first that fails ends it."""
        results: list[Result] = []
        while (number := len(results)) < trial.variants[0].measure.processes:
            cycles = cycles_of(results[0]) if results else None
            result = self._result(self.job_of(dataclasses.replace(trial, process=number, cycles=cycles), None))
            if result.status != "ok":
                return result
            if results and result.environment != results[0].environment:
                results.clear()  # the machine that timed was lost on the way: once more, on the one that is left
            else:
                results.append(result)
        return joined(results)

    def _result(self, job: Job) -> Result:
        key, ended = self.executor.submit(job), dict[int, Result]()
        while key not in ended:
            ended = dict(self.wait())
        return ended[key]

    def session(self, trial: Trial, barred: dict[str, Result]) -> list[Record]:
        """The records of a session; whoever ends it is left out of the next attempt."""
        records: list[Record] = []

        def bar(variant: Variant, result: Result) -> None:
            records.extend(self.recorder.failure(trial, variant, result))
            self.watch.note(f"{variant.name} is left out of {trial.label}: {result.reason}")

        for variant in trial.variants:
            if variant.name in barred:
                bar(variant, barred[variant.name])
        left = [v for v in trial.variants if v.name not in barred]
        reason = barred[trial.variants[0].name].reason if trial.variants[0].name in barred else None
        while left and left[0].is_baseline:
            attempt = dataclasses.replace(trial, variants=tuple(left))
            if any(r.session == attempt.session for r in self.recorder.writer.records):
                return records  # it was timed before a variant that cannot be joined it
            result = self._timed(attempt)
            if result.status == "ok":
                return records + self.recorder.write(attempt, result)
            guilty = [v for v in left if v.name == result.on] or left
            for variant in guilty:
                bar(variant, result)
            left = [v for v in left if v not in guilty]
            reason = result.reason
        lost = Result(status="failed", reason=f"the baseline could not be timed: {reason}", started=now())
        for variant in left:
            bar(variant, lost)
        return records
