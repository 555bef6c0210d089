"""Runs the trials of a plan in order; each result, and each failure, becomes records.

Costs and memory run side by side. Then the machine's ceilings and the timing sessions run one after another, with the
machine to themselves. Then accuracies run side by side, seed by seed, so that an interrupted run leaves complete seeds;
trials that others need run first. Last come the tuning's tries and the accuracies under the recipes that won.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from vitbench.declare.quantities import Quantity, registered
from vitbench.declare.variant import ROLES
from vitbench.records.identity import now
from vitbench.records.record import Record, Status
from vitbench.records.tuning_outcome import chosen, finished
from vitbench.run.executors.gpus import modelled_bytes, peaks_of
from vitbench.run.executors.job import Job, Result
from vitbench.run.executors.protocol import Executor
from vitbench.run.job_requests import job_of
from vitbench.run.planning.lazy_trials import Blocks
from vitbench.run.planning.plan import Plan, weights_of
from vitbench.run.planning.reuse import RecordIndex, TrialSplit
from vitbench.run.planning.trial import Trial
from vitbench.run.planning.trials import Trials
from vitbench.run.progress.estimate import Estimate, macs_of
from vitbench.run.progress.observer import Observer, Progress
from vitbench.run.signals import Stop
from vitbench.run.store.checkpoints import Checkpoints
from vitbench.run.store.recorder import Recorder
from vitbench.run.store.writer import Writer
from vitbench.run.timing_sessions import TimingSessions
from vitbench.run.trial_queue import RemainingWork, TrialQueue, in_order


@dataclass
class Sweep:
    """One run of a plan. ``done`` counts trials with a result, ``failed`` measurements without one."""

    plan: Plan
    writer: Writer
    executor: Executor
    watch: Observer
    stop: Stop
    side_by_side: Callable[[], int]  # trainings; asked each time, because a cluster may grow
    timeout_s: float | None
    ends: float = math.inf  # by the monotonic clock; no trial starts later
    done: int = 0
    failed: int = 0
    seconds: dict[str, float] = field(default_factory=dict)  # wall-clock time by phase

    def __post_init__(self) -> None:
        self._running: dict[Trial, float] = {}  # trial → start
        self._ended = 0
        self._recorder = Recorder(self.plan, self.writer, self.timeout_s)
        self._checkpoints = Checkpoints(self.writer.directory)
        num_train = self.plan.preflight.data["num_train"]
        self._estimate = Estimate(num_train, self.side_by_side(), macs_of(self.writer.records))
        self._remaining = RemainingWork(self.plan.trials, self._estimate)
        self._needed = {trial.only_id for trial in self.plan.needed}
        self._peaks = peaks_of(self.writer.records)

    @property
    def left(self) -> int:
        """The number of trials that did not start."""
        return len(self._remaining)

    @property
    def _over(self) -> bool:
        """Whether no more trials are to start."""
        return self.stop.requested or time.monotonic() >= self.ends

    def open(self, command: str, summary: str) -> None:
        """Writes the records that precede the first trial."""
        self._recorder.open(command, summary, self.side_by_side())
        self._checkpoints.open(self.writer.records)
        self.watch.planned(self.plan)

    def run(self) -> None:
        """Runs all trials.

        Raises:
            Interrupted: the running trials are to end; finished trials are on the disk.
        """
        try:
            for (name, *_), own in itertools.groupby(registered(), lambda q: (q.phase or q.kind, q.per, q.exclusive)):
                self._measure(name, list(own))
        finally:
            self.executor.cancel()
            self._checkpoints.close()

    def _measure(self, name: str, quantities: list[Quantity]) -> None:
        """Measures the quantities of one phase."""
        trials = self.plan.trials.of(*(quantity.kind for quantity in quantities), recipe="same")
        per, exclusive, guess = quantities[0].per, quantities[0].exclusive, self._estimate.guess
        match per:
            case "session":
                self._run_sessions(name, trials)
            case "seed":
                self._run_phase(name, in_order(trials, guess), self.side_by_side)
            case "try":
                if self.plan.tuning is not None:
                    tries = sorted(trials, key=lambda t: (t.number, -guess(t)))  # first tries of all, then second ones
                    self._run_phase(name, tries, self.side_by_side)
                    self._run_phase("tuned accuracy", in_order(self._tuned(), guess), self.side_by_side)
            case "variant" | "machine":
                self._run_phase(name, trials, lambda: 1 if exclusive else self.executor.cores)
                if not exclusive:  # they may have counted MACs, which the estimates are computed from
                    self._remaining.update_estimates()

    def _tuned(self) -> Blocks:
        """The accuracy trials under the recipes that won, without the recorded ones."""
        plan = {"tuning": self.plan.tuning}
        all_trials = Trials(self.plan.ablation, self.plan.preflight, self.plan.seeds)
        winners, over = chosen(plan, self.writer.records), finished(plan, self.writer.records)
        lost = [v.name for v in all_trials.able if v.name in over and v.name not in winners]
        if lost:
            self.watch.note(f"no try gave a result for {', '.join(lost)}: no tuned accuracy")
        split = TrialSplit(RecordIndex(self.writer.records, self.timeout_s))
        for block in all_trials.tuned({name: won for name, won in winners.items() if name in over}):
            split.add(block)
        self._recorder.copy(split.copies)
        undecided = all_trials.to_tune([v.name for v in all_trials.able if v.name not in over])
        self._remaining.drop("accuracy", "tuned")
        waiting = Blocks([*split.to_run, *undecided])
        self._remaining.put(waiting)
        self.watch.tuned(waiting, Blocks(split.reused), list(split.failures.values()))
        return Blocks(split.to_run)

    def _run_phase(self, name: str, trials: Iterable[Trial], at_once: Callable[[], int]) -> None:
        start, busy = time.monotonic(), 0.0
        queue = TrialQueue(trials, self._needed, lambda trial: weights_of(self.writer.directory, trial).is_file())
        running: dict[int, Trial] = {}
        while True:
            while len(running) < at_once() and not self._over and (trial := self._next(queue)):
                running[self.executor.submit(self._job(trial))] = trial
                self._note_start(trial)
            if not running:
                break
            for key, result in self._wait():
                trial = running.pop(key)
                records = self._recorder.write(trial, result)
                self._checkpoints.ended(trial, records)
                busy += sum(min(r.seconds, r.values.get("total_seconds", r.seconds)) for r in records[:1])
                self._note_end(trial, records, result.seconds)
                queue.ended(trial)
        self.seconds[name] = busy / at_once()
        self.seconds[f"around {name}"] = max(0.0, time.monotonic() - start - self.seconds[name])

    def _next(self, queue: TrialQueue) -> Trial | None:
        """The first trial that need not wait for the model of another one."""
        while (trial := queue.take()) is not None:
            unmet = queue.unmet_need(trial)
            if unmet is None:
                return trial
            self._fail_without_model(trial, *unmet)
            queue.ended(trial)
        return None

    def _fail_without_model(self, trial: Trial, role: str, needed: Trial) -> None:
        """Records that a trial lacks the model of another one."""
        name = needed.variants[0].name
        failure = next((r for r in reversed(self.writer.records) if r.id == needed.only_id and r.failed), None)
        why = "left no model" if failure is None else f"{failure.status}: {failure.reason}"
        status: Status = "timeout" if failure is not None and failure.status == "timeout" else "failed"
        result = Result(status=status, reason=f"{ROLES[role]} {name} {why}", started=now())
        self._note_start(trial)
        self._note_end(trial, self._recorder.failure(trial, trial.variants[0], result), None)

    def _job(self, trial: Trial) -> Job:
        memory, gpu_bytes = modelled_bytes(trial, self._peaks), self.plan.preflight.gpu_bytes
        return job_of(self._with_files(trial), self.timeout_s, memory_bytes=memory, gpu_bytes=gpu_bytes)

    def _with_files(self, trial: Trial) -> Trial:
        """The trial with the paths of its checkpoint, of the models that it needs, and of its own if others need it."""
        directory, needed = self.writer.directory, trial.kind == "accuracy" and trial.only_id in self._needed
        if needed:
            weights_of(directory, trial).parent.mkdir(exist_ok=True)
        return dataclasses.replace(
            trial,
            save_to=weights_of(directory, trial) if needed else None,
            weights={role: weights_of(directory, other) for role, other in trial.needs.items()},
            checkpoint=self._checkpoints.file(trial),
            checkpoint_every_s=self._checkpoints.every_s,
        )

    def _run_sessions(self, name: str, trials: Blocks) -> None:
        phase_start = time.monotonic()
        timing = TimingSessions(
            executor=self.executor,
            recorder=self._recorder,
            watch=self.watch,
            wait=self._wait,
            job_of=lambda trial, function: job_of(trial, self.timeout_s, function),
            probes_at_once=self.executor.cores if self.plan.preflight.device == "cpu" else 1,
            over=lambda: self._over,
        )
        for trial in trials:
            timing.probe(trial)
            if self._over:
                break
            start = time.monotonic()
            self._note_start(trial)
            records = timing.run(trial)
            self._note_end(trial, records, time.monotonic() - start)
        self.seconds[name] = time.monotonic() - phase_start

    def _wait(self) -> list[tuple[int, Result]]:
        """The next jobs to end, or none if something else happened; a request to end is noticed here."""
        self.stop.check()
        ended = self.executor.wait(also=[self.stop.fd])
        if self.stop.poll() and not self.stop.immediate:
            number = max(0, len(self._running) - len(ended))
            doing = f"finishing {number} running trial{'s' * (number != 1)}" if number else "starting no more trials"
            self.watch.note(f"{doing}; press Ctrl-C again to stop now")
        return sorted(ended, key=lambda pair: pair[1].no_room)  # results that end the sweep come last

    def _note_start(self, trial: Trial) -> None:
        self._remaining.start(trial)
        self._running[trial] = time.monotonic()
        self.watch.started(trial)
        self._show_progress()

    def _note_end(self, trial: Trial, records: list[Record], seconds: float | None) -> None:
        del self._running[trial]
        for why in {record.values["started_over"] for record in records if "started_over" in record.values}:
            self.watch.note(f"{trial.label}: {why}")
        self._ended += 1
        self.done += any(record.ok for record in records)
        self.failed += len({record.id for record in records if record.failed})
        self._remaining.learn(macs_of(records))
        self._peaks |= peaks_of(records)
        if seconds is not None and not any("resumed" in record.values for record in records):
            self._estimate.observe(trial, seconds)
        self.watch.finished(trial, records)
        self._show_progress()

    def _show_progress(self) -> None:
        time_now = time.monotonic()
        running = {trial: time_now - start for trial, start in self._running.items()}
        self.watch.progress(
            Progress(
                done=self._ended,
                total=self._ended + len(running) + len(self._remaining),
                failed=self.failed,
                running=tuple(running),
                remaining_s=self._estimate.remaining(self._remaining.seconds, running),
                waiting_s=self._estimate.remaining(self._remaining.seconds),
            )
        )
