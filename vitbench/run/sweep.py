"""The trials of a plan, run in order: what a job gave, or why it gave nothing, becomes records.

Costs and memory go side by side; then the machine's ceilings and timing sessions, one after another with the machine to
themselves; then accuracies side by side, seed by seed, so that an interrupted run leaves whole paired seeds; what
others need goes first. Then the tuning's tries, and accuracies under what won.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from vitbench.records import Record, Status, now
from vitbench.run.executor import Executor
from vitbench.run.interrupt import Stop
from vitbench.run.job import Job, Result
from vitbench.run.observer import Estimate, Observer, Progress, macs_of
from vitbench.run.planning import Plan, Sorted, weights_of
from vitbench.run.recorded import Recorded
from vitbench.run.recorder import Recorder
from vitbench.run.timing import Barred, Timing
from vitbench.run.trial import Trial
from vitbench.run.trials import Trials
from vitbench.run.writer import Writer
from vitbench.tuning import chosen, finished
from vitbench.variant import ROLES

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
    """One run.

    ``seconds``: wall-clock time by phase; ``failed`` counts what could not be measured, ``done`` and ``left`` trials.
    """

    plan: Plan
    writer: Writer
    executor: Executor
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
        self._recorder = Recorder(self.plan, self.writer, self.timeout_s)
        self._estimate = Estimate(self.plan.survey.data["num_train"], self.at_once, macs_of(self.writer.records))
        self._needed = {needed.only_id for trial in self.plan.trials for needed in trial.needs.values()}

    @property
    def left(self) -> int:
        """Trials that were not begun."""
        return len(self._waiting)

    @property
    def _over(self) -> bool:
        return time.monotonic() >= self.ends

    def open(self, command: str, summary: str) -> None:
        """Writes what stands before the first trial."""
        self._recorder.open(command, summary, self.at_once)
        self.watch.planned(self.plan)

    def run(self) -> None:
        """Runs all trials.

        Raises:
            Interrupted: between two trials; what was measured is on the disk, what ran was stopped.
        """
        trials = self.plan.trials
        try:
            self._phase("costs", [t for t in trials if t.kind in MODELLED], self.executor.cores)
            self._phase("ceilings", [t for t in trials if t.kind == "ceiling"], 1)
            start = time.monotonic()
            self._sessions([t for t in trials if t.alone])
            self.seconds["timing"] = time.monotonic() - start
            same = [t for t in trials if t.kind == "accuracy" and t.recipe == "same"]
            self._phase("accuracy", self._in_order(same), self.at_once)
            if self.plan.tuning is not None:
                tries = [t for t in trials if t.kind == "tuning"]
                tries.sort(key=lambda t: (t.number, -self._estimate.guess(t)))  # so that everyone has as many
                self._phase("tuning", tries, self.at_once)
                self._phase("tuned accuracy", self._in_order(self._tuned()), self.at_once)
        finally:
            self.executor.cancel()

    def _in_order(self, trials: Iterable[Trial]) -> list[Trial]:
        """Seed by seed; what others need first, then the longest first, or it would end alone."""
        return sorted(trials, key=lambda t: (t.seed, _depth(t), -self._estimate.guess(t)))

    def _tuned(self) -> list[Trial]:
        """The accuracies under the recipes that won; where they are known already, their records are used."""
        plan = {"tuning": self.plan.tuning}
        every = Trials(self.plan.ablation, self.plan.survey, self.plan.seeds)
        winners, over = chosen(plan, self.writer.records), finished(plan, self.writer.records)
        lost = [v.name for v in every.able if v.name in over and v.name not in winners]
        if lost:
            self.watch.note(f"no try gave a result for {', '.join(lost)}: no tuned accuracy")
        found = Sorted(Recorded(self.writer.records, self.timeout_s))
        for trial in every.tuned({name: won for name, won in winners.items() if name in over}):
            found.add(trial)
        self._recorder.copy(found.copies)
        planned = [t for t in self._waiting if t.recipe == "same"]
        self._waiting = [*planned, *found.trials, *every.to_tune([v.name for v in every.able if v.name not in over])]
        return found.trials

    def _phase(self, name: str, trials: Iterable[Trial], at_once: int) -> None:
        start, busy = time.monotonic(), 0.0
        queue = list(trials)
        running: dict[int, Trial] = {}
        while True:
            while len(running) < at_once and not self._over and (trial := self._next(queue, running.values())):
                running[self.executor.submit(job_of(self._furnished(trial), self.timeout_s))] = trial
                self._start(trial)
            if not running:
                break
            for key, result in self._wait():
                trial = running.pop(key)
                records = self._recorder.write(trial, result)
                busy += sum(r.values.get("total_seconds", r.seconds) for r in records[:1])
                self._end(trial, records, result.seconds)
        self.seconds[name] = busy / at_once
        self.seconds[f"around {name}"] = time.monotonic() - start - busy / at_once

    def _next(self, queue: list[Trial], running: Iterable[Trial]) -> Trial | None:
        """The first trial that need not wait for another one's model, taken out of the queue."""
        busy = {t.only_id for t in (*queue, *running) if t.seed is not None} if self._needed else set()
        for trial in list(queue):
            missing = {r: t for r, t in trial.needs.items() if not weights_of(self.writer.directory, t).is_file()}
            if not missing:
                queue.remove(trial)
                return trial
            lost = next(((role, needed) for role, needed in missing.items() if needed.only_id not in busy), None)
            if lost is not None:
                queue.remove(trial)
                busy.discard(trial.only_id)
                self._abandon(trial, *lost)
        return None

    def _abandon(self, trial: Trial, role: str, needed: Trial) -> None:
        """Records that a trial lacks a model; those who need its own hear of it in turn."""
        name = needed.variants[0].name
        failure = next((r for r in reversed(self.writer.records) if r.id == needed.only_id and r.failed), None)
        said = "left no model" if failure is None else f"{failure.status}: {failure.reason}"
        status: Status = "timeout" if failure is not None and failure.status == "timeout" else "failed"
        result = Result(status=status, reason=f"{ROLES[role]} {name} {said}", started=now())
        self._start(trial)
        self._end(trial, self._recorder.failure(trial, trial.variants[0], result), None)

    def _furnished(self, trial: Trial) -> Trial:
        """The trial with the places of its model and of those that it needs, where there are any."""
        directory, needed = self.writer.directory, trial.kind == "accuracy" and trial.only_id in self._needed
        if needed:
            weights_of(directory, trial).parent.mkdir(exist_ok=True)
        return dataclasses.replace(
            trial,
            save_to=weights_of(directory, trial) if needed else None,
            weights={role: weights_of(directory, other) for role, other in trial.needs.items()},
        )

    def _sessions(self, trials: Sequence[Trial]) -> None:
        """Times what can be called."""
        timing = Timing(
            executor=self.executor,
            recorder=self._recorder,
            watch=self.watch,
            wait=self._wait,
            job_of=lambda trial, function: job_of(trial, self.timeout_s, function),
            device=self.plan.survey.device,
        )
        barred: Barred = {} if self._over else timing.probe(trials)
        for trial in trials:
            if self._over:
                break
            start = time.monotonic()
            self._start(trial)
            records = timing.session(trial, barred[trial.kind])
            self._end(trial, records, time.monotonic() - start)

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

    def _end(self, trial: Trial, records: list[Record], seconds: float | None) -> None:
        del self._running[trial]
        self._ended += 1
        self.done += any(record.ok for record in records)
        self.failed += len({record.id for record in records if record.failed})
        self._estimate.macs |= macs_of(records)
        if seconds is not None:
            self._estimate.observe(trial, seconds)
        self.watch.finished(trial, records)
        self._progress()

    def _progress(self) -> None:
        time_now = time.monotonic()
        running = {trial: time_now - start for trial, start in self._running.items()}
        self.watch.progress(
            Progress(
                done=self._ended,
                total=self._ended + len(running) + len(self._waiting),
                failed=self.failed,
                running=tuple(running),
                remaining_s=self._estimate.remaining(self._waiting, running),
            )
        )


def _depth(trial: Trial) -> int:
    """How many trials must come before it, one after another."""
    return max((1 + _depth(needed) for needed in trial.needs.values()), default=0)
