"""How a run looks from the terminal: a live line with the time left, or plain lines where output is no terminal."""

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
    from vitbench.run.planning.plan import Plan
    from vitbench.run.schedule import Outcome


def duration(seconds: float) -> str:
    """``"48 s"``, ``"5 min 10 s"``, ``"2 h 05 min"``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def outcome(trial: Trial, records: list[Record]) -> str:
    """One line about a trial that ended: what it found, or why it failed."""
    wrong = next((record for record in records if not record.ok), None)
    if wrong is not None:
        return f"{trial.label}: {wrong.status}: {wrong.reason}"
    took = max(record.seconds for record in records)
    values = records[0].values
    found = {"accuracy": values.get("accuracy"), "tuning": values.get("val_accuracy")}.get(trial.kind)
    said = "diverged, after " if values.get("diverged") else "" if found is None else f"{found:.1%} in "
    return f"{trial.label}: {said}{duration(took)}"


class PlainView(Observer):
    """A line a trial, for logs."""

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
            left = f", about {duration(self.last.remaining_s)} left" if self.last.total > self.last.done + 1 else ""
            self.say(f"[{self.last.done + 1}/{self.last.total}] {outcome(trial, records)}{left}")

    def note(self, text: str) -> None:
        self.say(f"note: {text}")

    def say(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Ends the view."""


class LiveView(PlainView):
    """A bar with what runs and how long it will take; redrawn only when something starts or ends, never by a clock.

    A clock would wake this process up inside a timed region.
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
            left=f"about {duration(progress.remaining_s)} left"
            + (f", {progress.failed} failed" * bool(progress.failed)),
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
    """What is about to happen, in one line."""
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
    """What was done, and what the time went into."""
    seconds = {**outcome.seconds, "report": reporting_s}
    total = seconds.pop("total", 0.0) + reporting_s
    counts = {"reused": outcome.reused, "skipped": outcome.skipped, "FAILED": outcome.failed, "left": outcome.left}
    done = [f"{outcome.done} trials measured", *(f"{number} {what}" for what, number in counts.items() if number)]
    parts = [f"{what} {duration(took)}" for what, took in seconds.items() if took >= 0.5]
    if outcome.done:
        around = {what for what in seconds if what.startswith("around ")} | {"start-up", "report"}
        rest = 1 - sum(took for what, took in seconds.items() if what not in around) / total
        parts.append(f"{rest:.0%} neither training nor measuring")
    goes_on = "; the same command goes on" * bool(outcome.left)
    return f"{', '.join(done)} in {duration(total)} ({', '.join(parts)}){goes_on}"
