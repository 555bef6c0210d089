"""The trials of a plan, run in order: what a job gave, or why it gave nothing, becomes records.

Costs and memory go side by side; then the machine's ceilings and timing sessions, one after another with the machine to
themselves; then accuracies side by side, seed by seed, so that an interrupted run leaves whole paired seeds; what
others need goes first. Then the tuning's tries, and accuracies under what won.
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
from vitbench.run.backlog import Backlog
from vitbench.run.executors.gpus import modelled_bytes, peaks_of
from vitbench.run.executors.job import Job, Result
from vitbench.run.executors.protocol import Executor
from vitbench.run.job_requests import job_of
from vitbench.run.planning.lazy_trials import Blocks
from vitbench.run.planning.pending import Sorted
from vitbench.run.planning.plan import Plan, weights_of
from vitbench.run.planning.recorded import Recorded
from vitbench.run.planning.trial import Trial
from vitbench.run.planning.trials import Trials
from vitbench.run.progress.observer import Estimate, Observer, Progress, macs_of
from vitbench.run.queue import Queue, in_order
from vitbench.run.signals import Stop
from vitbench.run.store.checkpoints import Checkpoints
from vitbench.run.store.recorder import Recorder
from vitbench.run.store.writer import Writer
from vitbench.run.timing_sessions import Barred, Timing


@dataclass
class Sweep:
    """One run.

    ``side_by_side``: how many trainings go at once, asked anew each time, since a cluster may grow. ``seconds``:
    wall-clock time by phase; ``failed`` counts what could not be measured, ``done`` and ``left`` trials.
    """

    plan: Plan
    writer: Writer
    executor: Executor
    watch: Observer
    stop: Stop
    side_by_side: Callable[[], int]
    timeout_s: float | None
    ends: float = math.inf  # by the monotonic clock; nothing is begun later
    done: int = 0
    failed: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._running: dict[Trial, float] = {}
        self._ended = 0
        self._recorder = Recorder(self.plan, self.writer, self.timeout_s)
        self._checkpoints = Checkpoints(self.writer.directory)
        self._estimate = Estimate(self.plan.survey.data["num_train"], self.side_by_side(), macs_of(self.writer.records))
        self._backlog = Backlog(self.plan.trials, self._estimate)
        self._needed = {trial.only_id for trial in self.plan.needed}
        self._peaks = peaks_of(self.writer.records)

    @property
    def left(self) -> int:
        """Trials that were not begun."""
        return len(self._backlog)

    @property
    def _over(self) -> bool:
        """Whether nothing more is to be begun."""
        return self.stop.asked or time.monotonic() >= self.ends

    def open(self, command: str, summary: str) -> None:
        """Writes what stands before the first trial."""
        self._recorder.open(command, summary, self.side_by_side())
        self._checkpoints.open(self.writer.records)
        self.watch.planned(self.plan)

    def run(self) -> None:
        """Runs all trials.

        Raises:
            Interrupted: between two trials, if what runs is to be stopped; what was measured is on the disk.
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
                start = time.monotonic()
                self._sessions(trials)
                self.seconds[name] = time.monotonic() - start
            case "seed":
                self._phase(name, in_order(trials, guess), self.side_by_side)
            case "try":
                if self.plan.tuning is not None:
                    tries = sorted(trials, key=lambda t: (t.number, -guess(t)))  # so that everyone has as many
                    self._phase(name, tries, self.side_by_side)
                    self._phase("tuned accuracy", in_order(self._tuned(), guess), self.side_by_side)
            case "variant" | "machine":
                self._phase(name, trials, lambda: 1 if exclusive else self.executor.cores)
                if not exclusive:  # they may have counted the MACs that the guesses rest on
                    self._backlog.guess_again()

    def _tuned(self) -> Blocks:
        """The accuracies under the recipes that won; where they are known already, their records are used."""
        plan = {"tuning": self.plan.tuning}
        every = Trials(self.plan.ablation, self.plan.survey, self.plan.seeds)
        winners, over = chosen(plan, self.writer.records), finished(plan, self.writer.records)
        lost = [v.name for v in every.able if v.name in over and v.name not in winners]
        if lost:
            self.watch.note(f"no try gave a result for {', '.join(lost)}: no tuned accuracy")
        found = Sorted(Recorded(self.writer.records, self.timeout_s))
        for block in every.tuned({name: won for name, won in winners.items() if name in over}):
            found.add(block)
        self._recorder.copy(found.copies)
        self._backlog.drop("accuracy", "tuned")
        self._backlog.put(Blocks([*found.left, *every.to_tune([v.name for v in every.able if v.name not in over])]))
        return Blocks(found.left)

    def _phase(self, name: str, trials: Iterable[Trial], at_once: Callable[[], int]) -> None:
        start, busy = time.monotonic(), 0.0
        queue = Queue(trials, self._needed, lambda trial: weights_of(self.writer.directory, trial).is_file())
        running: dict[int, Trial] = {}
        while True:
            while len(running) < at_once() and not self._over and (trial := self._next(queue)):
                running[self.executor.submit(self._job(trial))] = trial
                self._start(trial)
            if not running:
                break
            for key, result in self._wait():
                trial = running.pop(key)
                records = self._recorder.write(trial, result)
                self._checkpoints.ended(trial, records)
                busy += sum(min(r.seconds, r.values.get("total_seconds", r.seconds)) for r in records[:1])
                self._end(trial, records, result.seconds)
                queue.ended(trial)
        self.seconds[name] = busy / at_once()
        self.seconds[f"around {name}"] = max(0.0, time.monotonic() - start - self.seconds[name])

    def _next(self, queue: Queue) -> Trial | None:
        """The first trial that need not wait for another one's model, taken out of the queue."""
        while (trial := queue.take()) is not None:
            lost = queue.lost(trial)
            if lost is None:
                return trial
            self._abandon(trial, *lost)
            queue.ended(trial)
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

    def _job(self, trial: Trial) -> Job:
        need, cards = modelled_bytes(trial, self._peaks), self.plan.survey.cards
        return job_of(self._furnished(trial), self.timeout_s, memory_bytes=need, cards=cards)

    def _furnished(self, trial: Trial) -> Trial:
        """The trial with the places of its model and of those that it needs, where there are any."""
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

    def _sessions(self, trials: Blocks) -> None:
        """Times what can be called; whether it can is tried before its first session."""
        timing = Timing(
            executor=self.executor,
            recorder=self._recorder,
            watch=self.watch,
            wait=self._wait,
            job_of=lambda trial, function: job_of(trial, self.timeout_s, function),
            device=self.plan.survey.device,
            over=lambda: self._over,
        )
        barred: Barred = {part.kind: {} for part in trials.parts}
        probed = set[str]()
        for trial in trials:
            new = [v for v in trial.variants if v.name not in probed]
            timing.probe(trial, new, barred)
            probed |= {v.name for v in new}
            if self._over:
                break
            start = time.monotonic()
            self._start(trial)
            records = timing.session(trial, barred[trial.kind])
            self._end(trial, records, time.monotonic() - start)

    def _wait(self) -> list[tuple[int, Result]]:
        """The next jobs to end, none where something else happened; a request to end is heard here."""
        self.stop.check()
        ended = self.executor.wait(also=[self.stop.fd])
        if self.stop.heard() and not self.stop.now:
            number = max(0, len(self._running) - len(ended))
            what = f"finishing {number} running trial{'s' * (number != 1)}" if number else "nothing more is begun"
            self.watch.note(f"{what}; press Ctrl-C again to stop now")
        return sorted(ended, key=lambda pair: pair[1].no_room)  # those that end the sweep come last

    def _start(self, trial: Trial) -> None:
        self._backlog.take(trial)
        self._running[trial] = time.monotonic()
        self.watch.started(trial)
        self._progress()

    def _end(self, trial: Trial, records: list[Record], seconds: float | None) -> None:
        del self._running[trial]
        for why in {record.values["started_over"] for record in records if "started_over" in record.values}:
            self.watch.note(f"{trial.label}: {why}")
        self._ended += 1
        self.done += any(record.ok for record in records)
        self.failed += len({record.id for record in records if record.failed})
        self._backlog.learn(macs_of(records))
        self._peaks |= peaks_of(records)
        if seconds is not None and not any("resumed" in record.values for record in records):
            self._estimate.observe(trial, seconds)
        self.watch.finished(trial, records)
        self._progress()

    def _progress(self) -> None:
        time_now = time.monotonic()
        running = {trial: time_now - start for trial, start in self._running.items()}
        self.watch.progress(
            Progress(
                done=self._ended,
                total=self._ended + len(running) + len(self._backlog),
                failed=self.failed,
                running=tuple(running),
                remaining_s=self._estimate.remaining(self._backlog.guessed, running),
            )
        )
