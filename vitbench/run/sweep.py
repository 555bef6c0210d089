"""The trials of a plan, run in order: what a job gave, or why it gave nothing, becomes records.

Costs and memory go side by side; then timing sessions, one after another with the machine to themselves; then
accuracies side by side, seed by seed, so that an interrupted run leaves whole paired seeds.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from vitbench.ablation import Variant
from vitbench.config import as_dict
from vitbench.records import Record, now
from vitbench.run import machine
from vitbench.run.interrupt import Stop
from vitbench.run.job import Job, Result
from vitbench.run.kinds import Measured
from vitbench.run.local import LocalExecutor
from vitbench.run.observer import Estimate, Observer, Progress, macs_of
from vitbench.run.planning import Plan, plan_record, session_size, skip_records
from vitbench.run.trial import Trial
from vitbench.run.writer import Writer

MODELLED = ("cost", "memory")
"""Kinds that use neither the device nor a clock, so that they may be forked and go side by side whatever it is."""


def job_of(trial: Trial, timeout_s: float | None, function: str | None = None) -> Job:
    """The job that a trial is; a CUDA context does not survive a fork, so those jobs are spawned."""
    return Job(
        function=f"vitbench.run.kinds:{function or trial.kind}",
        payload=trial,
        timeout_s=timeout_s,
        spawn=trial.device == "cuda" and trial.kind not in MODELLED,
    )


@dataclass
class Sweep:
    """One run. ``seconds``: wall-clock time by phase; ``failed`` counts records, ``done`` and ``left`` trials."""

    plan: Plan
    writer: Writer
    executor: LocalExecutor
    watch: Observer
    stop: Stop
    at_once: int
    timeout_s: float | None
    ends: float = math.inf  # by the monotonic clock; nothing is begun later
    done: int = 0
    failed: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._waiting = list(self.plan.trials)
        self._running: dict[Trial, float] = {}
        self._ended = 0
        self._common: dict[str, Any] = {}
        self._estimate = Estimate(self.plan.survey.data["num_train"], self.at_once, macs_of(self.writer.records))

    @property
    def left(self) -> int:
        """Trials that were not begun."""
        return len(self._waiting)

    @property
    def _over(self) -> bool:
        return time.monotonic() >= self.ends

    def open(self, command: str, summary: str) -> None:
        """Writes what stands before the first trial: environment, plan (unless the last one says the same), skips."""
        environment = machine.environment(self.plan.survey.torch, threads=self.plan.ablation.measure.threads)
        self._common = {
            "ablation": self.plan.name,
            "environment": self.writer.add_environment(environment),
            "code": machine.code(),
        }
        opening = plan_record(
            self.plan,
            command=command,
            summary=summary,
            conditions=machine.conditions(),
            started=now(),
            **self._common,
        )
        last = next((r for r in reversed(self.writer.records) if r.kind == "plan"), None)
        skips = skip_records(self.plan, self.writer.records, started=now(), **self._common)
        self.writer.append_many([*([] if last and last.id == opening.id else [opening]), *skips])
        self.watch.planned(self.plan)

    def run(self) -> None:
        """Runs all trials.

        Raises:
            Interrupted: between two trials; what was measured is on the disk, what ran was stopped.
        """
        trials = self.plan.trials
        try:
            self._phase("costs", [t for t in trials if t.kind in MODELLED], machine.cores())
            start = time.monotonic()
            self._sessions([t for t in trials if t.alone])
            self.seconds["timing"] = time.monotonic() - start
            accuracies = [t for t in trials if t.kind == "accuracy"]
            accuracies.sort(key=lambda t: (t.seed, -self._estimate.guess(t)))  # the longest first, or it ends alone
            self._phase("accuracy", accuracies, self.at_once)
        finally:
            self.executor.cancel()

    def _phase(self, name: str, trials: Iterable[Trial], at_once: int) -> None:
        start, busy = time.monotonic(), 0.0
        queue = deque(trials)
        running: dict[int, Trial] = {}
        while True:
            while queue and len(running) < at_once and not self._over:
                trial = queue.popleft()
                running[self.executor.submit(job_of(trial, self.timeout_s))] = trial
                self._start(trial)
            if not running:
                break
            for key, result in self._wait():
                trial = running.pop(key)
                records = self._write(trial, result)
                busy += sum(r.values.get("total_seconds", r.seconds) for r in records)
                self._end(trial, records, result.seconds)
        self.seconds[name] = busy / at_once
        self.seconds[f"around {name}"] = time.monotonic() - start - busy / at_once

    def _sessions(self, trials: Sequence[Trial]) -> None:
        """Times what can be called; ``barred`` holds, by kind, the variants that cannot and why."""
        barred = {} if self._over else self._probe(trials)
        for trial in trials:
            if self._over:
                break
            start = time.monotonic()
            self._start(trial)
            records = self._session(trial, barred[trial.kind])
            self._end(trial, records, time.monotonic() - start)

    def _probe(self, trials: Sequence[Trial]) -> dict[str, dict[str, Result]]:
        """One call of every variant, in a process of its own."""
        barred: dict[str, dict[str, Result]] = {trial.kind: {} for trial in trials}
        variants = {v.name: v for trial in trials for v in trial.variants}
        queue = list(variants.values())
        running: dict[int, Variant] = {}
        at_once = machine.cores() if self.plan.survey.device == "cpu" else 1
        while queue or running:
            while queue and len(running) < at_once:
                variant = queue.pop()
                trial = dataclasses.replace(trials[0], variants=(variant,))
                running[self.executor.submit(job_of(trial, self.timeout_s, "probe"))] = variant
            for key, result in self._wait():
                variant = running.pop(key)
                if result.status != "ok":
                    only = ["train_step"] if result.on == "train_step" else list(barred)
                    for kind in only:
                        if kind in barred:
                            barred[kind][variant.name] = result
        return barred

    def _session(self, trial: Trial, barred: dict[str, Result]) -> list[Record]:
        """The records of a session; whoever ends it is left out of the next attempt."""
        records: list[Record] = []

        def bar(variant: Variant, result: Result) -> None:
            records.extend(self._failure(trial, variant, result))
            self.watch.note(f"{variant.name} is left out of {trial.label}: {result.reason}")

        for variant in trial.variants:
            if variant.name in barred:
                bar(variant, barred[variant.name])
        left = [v for v in trial.variants if v.name not in barred]
        reason = barred[trial.variants[0].name].reason if trial.variants[0].name in barred else None
        while left and left[0].is_baseline:
            attempt = dataclasses.replace(trial, variants=tuple(left))
            if any(r.session == attempt.session for r in self.writer.records):
                return records  # it was timed before a variant that cannot be joined it
            key = self.executor.submit(job_of(attempt, self.timeout_s))
            result = next(result for ended, result in self._wait() if ended == key)
            if result.status == "ok":
                return records + self._write(attempt, result)
            guilty = [v for v in left if v.name == result.on] or left
            for variant in guilty:
                bar(variant, result)
            left = [v for v in left if v not in guilty]
            reason = result.reason
        lost = Result(status="failed", reason=f"the baseline could not be timed: {reason}", started=now())
        for variant in left:
            bar(variant, lost)
        return records

    def _wait(self) -> list[tuple[int, Result]]:
        """The next jobs to end."""
        while True:
            ended = self.executor.wait(also=[self.stop.fd])
            if ended:
                return ended
            self.stop.check()

    def _start(self, trial: Trial) -> None:
        self._waiting.remove(trial)
        self._running[trial] = time.monotonic()
        self.watch.started(trial)
        self._progress()

    def _end(self, trial: Trial, records: list[Record], seconds: float) -> None:
        del self._running[trial]
        self._ended += 1
        self.done += any(record.ok for record in records)
        self.failed += sum(record.failed for record in records)
        self._estimate.macs |= macs_of(records)
        self._estimate.observe(trial, seconds)
        self.watch.finished(trial, records)
        self._progress()

    def _progress(self) -> None:
        time_now = time.monotonic()
        running = {trial: time_now - start for trial, start in self._running.items()}
        self.watch.progress(
            Progress(
                done=self._ended,
                total=len(self.plan.trials),
                failed=self.failed,
                running=tuple(running),
                remaining_s=self._estimate.remaining(self._waiting, running),
            )
        )

    def _write(self, trial: Trial, result: Result) -> list[Record]:
        """The records of a trial that ended; on the disk when this returns."""
        if result.status != "ok":
            return self._failure(trial, trial.variants[0], result)
        variants = {v.name: v for v in trial.variants}
        measured: list[Measured] = result.value
        records = []
        for row in measured:
            variant = variants[row.variant]
            name = trial.id(variant, control=row.control)
            records.append(
                Record(
                    id=name,
                    kind=f"{trial.kind}_control" if row.control else trial.kind,
                    values=row.values,
                    samples=row.samples,
                    session=trial.session,
                    artifacts=[self.writer.save_arrays(name, row.arrays)] if row.arrays else [],
                    **self._about(trial, variant, result),
                )
            )
        self.writer.append_many(records)
        return records

    def _failure(self, trial: Trial, variant: Variant, result: Result) -> list[Record]:
        """The record that says why a variant could not be measured."""
        told = {"traceback": result.traceback, "output": result.output or None}
        about = self._about(trial, variant, result)
        if result.status == "timeout":
            about["settings"] |= {"timeout_s": self.timeout_s}
        record = Record(
            id=trial.failure_id(variant),
            kind=trial.kind,
            status=result.status,
            reason=result.reason,
            values={key: value for key, value in told.items() if value is not None},
            **about,
        )
        self.writer.append(record)
        return [record]

    def _about(self, trial: Trial, variant: Variant, result: Result) -> dict[str, Any]:
        """What every record says of its trial."""
        settings = trial.settings(variant)
        if trial.data is not None:
            settings |= {"data": {"name": trial.data[0], "version": trial.data[1]}, "train": as_dict(variant.train)}
        if trial.alone and result.status == "ok":
            settings["session_size"] = session_size(trial)
        return {
            "variant": variant.name,
            "axes": dict(variant.axes),
            "config": None if variant.model is None else as_dict(variant.model),
            "settings": settings,
            "seed": trial.seed,
            "started": result.started,
            "seconds": result.seconds,
            **self._common,
        }
