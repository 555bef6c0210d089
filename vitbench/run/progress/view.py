"""The progress of a sweep in the terminal: a live bar, or one line per trial if the output is not a terminal."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from vitbench.records.record import Record
from vitbench.run.planning.trial import Trial
from vitbench.run.progress.observer import Observer, Progress

if TYPE_CHECKING:
    from vitbench.run.outcome import Outcome
    from vitbench.run.planning.plan import Plan


def duration(seconds: float) -> str:
    """``"48 s"``, ``"5 min 10 s"``, ``"2 h 05 min"``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def time_left(remaining_s: float, failed: int = 0) -> str:
    """``"about 5 min 10 s left, 2 failed"``."""
    return f"about {duration(remaining_s)} left" + f", {failed} failed" * bool(failed)


def failure(subject: str, status: str, reason: str | None) -> str:
    """``"accuracy depth=2 seed 0: oom: CUDA out of memory"``."""
    return ": ".join([subject, status, *([reason] if reason else [])])


def outcome(trial: Trial, records: list[Record]) -> str:
    """The result of a trial in one line, or why it failed."""
    failed = next((record for record in records if not record.ok), None)
    if failed is not None:
        return failure(trial.label, failed.status, failed.reason)
    took = max(record.seconds for record in records)
    values = records[0].values
    accuracy = {"accuracy": values.get("accuracy"), "tuning": values.get("val_accuracy")}.get(trial.kind)
    result = "diverged, after " if values.get("diverged") else "" if accuracy is None else f"{accuracy:.1%} in "
    return f"{trial.label}: {result}{duration(took)}"


class PlainView(Observer):
    """Prints one line per trial, for logs."""

    def __init__(self, console: Console) -> None:
        """Prints to ``console``."""
        self.console = console
        self.last = Progress(done=0, total=0, failed=0, running=(), remaining_s=0.0)

    def progress(self, progress: Progress) -> None:
        self.last = progress

    def planned(self, plan: Plan) -> None:
        self.say(opening(plan))

    def finished(self, trial: Trial, records: list[Record]) -> None:
        if records:
            left = f", {time_left(self.last.remaining_s)}" if self.last.total > self.last.done + 1 else ""
            self.say(f"[{self.last.done + 1}/{self.last.total}] {outcome(trial, records)}{left}")

    def note(self, text: str) -> None:
        self.say(f"note: {text}")

    def say(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Removes the live bar, if there is one."""


class LiveView(PlainView):
    """A bar with the running trials and the time left.

    It is redrawn only when a trial starts or ends: a clock would wake this process during a timing session.
    """

    def __init__(self, console: Console) -> None:
        """Draws on ``console``."""
        super().__init__(console)
        self.started_at = time.monotonic()
        columns = (
            BarColumn(24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.description}"),
        )
        self.bar = Bar(*columns, console=console, auto_refresh=False, transient=True)
        self.task = self.bar.add_task("starting", total=None, left="")
        self.bar.start()
        self.bar.refresh()

    def progress(self, progress: Progress) -> None:
        super().progress(progress)
        names = ", ".join(trial.label for trial in progress.running)
        self.bar.update(
            self.task,
            completed=progress.done,
            total=progress.total,
            left=time_left(progress.remaining_s, progress.failed),
            description=names,
        )
        self.bar.refresh()

    def finished(self, trial: Trial, records: list[Record]) -> None:
        if any(not record.ok for record in records):
            self.say(outcome(trial, records))

    def close(self) -> None:
        self.bar.stop()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def opening(plan: Plan) -> str:
    """The size of a plan in one line."""
    able = sum(variant.model is not None for variant in plan.variants)
    parts = [_count(able, "variant"), _count(plan.seeds, "seed"), f"{_count(len(plan.trials), 'trial')} to run"]
    if plan.reused:
        parts.append(f"{len(plan.reused)} already recorded")
    if able < len(plan.variants):
        parts.append(f"{len(plan.variants) - able} impossible and skipped")
    if plan.failures:
        parts.append(f"{len(plan.failures)} failed earlier and are not repeated")
    return f"{plan.name}: {', '.join(parts)}"


def spent(outcome: Outcome, *, reporting_s: float) -> str:
    """The number of trials by outcome, and the time by activity."""
    seconds = {**outcome.seconds, "report": reporting_s}
    total = seconds.pop("total", 0.0) + reporting_s
    counts = {"reused": outcome.reused, "skipped": outcome.skipped, "FAILED": outcome.failed, "left": outcome.left}
    done = [f"{outcome.done} trials measured", *(f"{number} {name}" for name, number in counts.items() if number)]
    parts = [f"{name} {duration(took)}" for name, took in seconds.items() if took >= 0.5]
    if outcome.done:
        around = {name for name in seconds if name.startswith("around ")} | {"start-up", "report"}
        rest = 1 - sum(took for name, took in seconds.items() if name not in around) / total
        parts.append(f"{rest:.0%} neither training nor measuring")
    resume = "; run the same command to resume" * bool(outcome.left)
    return f"{', '.join(done)} in {duration(total)} ({', '.join(parts)}){resume}"
