"""``progress.json``: how far a sweep is. The sweep writes it, ``python -m vitbench.status`` reads it. No torch.

The file is replaced in one step and describes the latest sweep of the results folder. It is no result: nothing else
reads it, and a folder is complete without it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from vitbench.declare.quantities import kinds
from vitbench.records.identity import now
from vitbench.records.record import Record
from vitbench.run.planning.trial import Trial
from vitbench.run.progress.observer import Observer, Progress

if TYPE_CHECKING:
    from vitbench.run.planning.lazy_trials import Blocks
    from vitbench.run.planning.plan import Plan

PROGRESS = "progress.json"
FORMAT = "vitbench progress 1"
TUNED = "accuracy, tuned"
"""The accuracy trials under tuned recipes, as a kind of their own."""

PAUSE_S, PAUSES = 0.5, 50
"""Shortest time between two writes: in seconds, and in durations of the last write (which very many failures slow)."""


def read_progress(folder: Path) -> dict[str, Any] | None:
    """The content of ``progress.json``; None where it is missing, damaged, or not of this version."""
    try:
        content = json.loads((folder / PROGRESS).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) and content.get("format") == FORMAT else None


class ProgressFile(Observer):
    """Writes ``progress.json``, from the plan until the sweep ends; as a context manager it notes how the sweep ended.

    It writes at every start and end of a trial, but at most twice a second: a timer writes what came in between. No
    timer runs while the machine is timed. A file that cannot be written never stops the sweep.

    Attributes:
        interrupted: whether the user stopped the sweep.
    """

    def __init__(self, directory: Path, command: str) -> None:
        self.interrupted = False
        self._path = directory / PROGRESS
        self._command = command
        self._about: dict[str, Any] | None = None
        self._writer = {"pid": os.getpid(), "host": socket.gethostname(), "since": now()}
        self._tunes = False
        self._kinds: dict[str, dict[str, int]] = {}
        self._running: dict[Trial, str] = {}
        self._failures: dict[tuple[str, str], dict[str, Any]] = {}  # by kind and id: sessions share a baseline
        self._last: dict[str, Any] | None = None
        self._seconds: dict[str, float | None] = {"remaining_s": None, "waiting_s": None}
        self._next_write = 0.0
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if self._about is None:
            return  # there was no plan: the file still describes the sweep before
        stopped_by = "interrupt" if self.interrupted or isinstance(error, KeyboardInterrupt) else "budget"
        with self._lock:
            if error is not None and stopped_by == "budget":
                self._write("stopped", stopped_by="error", error=" ".join(str(error).split()))
            elif any(kind["left"] or kind["running"] for kind in self._kinds.values()):
                self._write("stopped", stopped_by=stopped_by)
            else:
                self._seconds = {"remaining_s": 0.0, "waiting_s": 0.0}
                self._write("finished")

    def planned(self, plan: Plan) -> None:
        with self._lock:
            skipped = sum(variant.model is None for variant in plan.variants)
            self._about = {"ablation": plan.name, "question": plan.ablation.question, "skipped": skipped}
            self._tunes = TUNED in plan.total
            for kind, total in (plan.trials.counts | dict(plan.total)).items():
                self._count(kind, total, plan.trials, plan.reused, plan.failures)
            self._write()

    def tuned(self, left: Blocks, reused: Blocks, failures: Sequence[Record]) -> None:
        with self._lock:
            self._count(TUNED, len(left) + len(reused), left, reused, failures)

    def _count(self, kind: str, total: int, left: Blocks, reused: Blocks, failures: Sequence[Record]) -> None:
        """Sets the numbers of a kind, before any of its trials has started."""
        failed = [record for record in failures if _kind_of(record) == kind]
        if self._tunes and kind in {"accuracy", TUNED}:  # one record is both, if the shared recipe won
            ids = {trial.only_id for part in reused.parts if part.label == kind for trial in part}
            failed = [record for record in failures if record.id in ids]
        self._failures |= {(kind, record.id): _described(record) | {"kind": kind} for record in failed}
        done = reused.counts.get(kind, 0) - (0 if kind in kinds("session") else len(failed))
        self._kinds[kind] = {"planned": total, "done": done, "running": 0, "left": left.counts.get(kind, 0)}

    def started(self, trial: Trial) -> None:
        with self._lock:
            self._running[trial] = now()
            kind = self._kinds[_label(trial.kind, trial.recipe)]
            kind["running"] += 1
            kind["left"] -= 1

    def finished(self, trial: Trial, records: list[Record]) -> None:
        with self._lock:
            del self._running[trial]
            self._failures |= {(_kind_of(record), record.id): _described(record) for record in records if record.failed}
            kind = self._kinds[_label(trial.kind, trial.recipe)]
            kind["running"] -= 1
            kind["done"] += not records or any(record.ok for record in records)
            statuses = [record.status for record in records if record.failed]
            self._last = {"trial": trial.label, "status": statuses[0] if statuses else "ok", "ended": now()}

    def progress(self, progress: Progress) -> None:
        with self._lock:
            self._seconds = {"remaining_s": progress.remaining_s, "waiting_s": progress.waiting_s}
            timed = any(trial.quantity.exclusive for trial in progress.running)
            wait_s = self._next_write - time.monotonic()
            if timed or wait_s <= 0:
                self._write()
            elif self._timer is None:
                self._timer = threading.Timer(wait_s, self._write_late)
                self._timer.daemon = True
                self._timer.start()

    def _write_late(self) -> None:
        with self._lock:
            if self._timer is threading.current_thread():  # else it was too late to cancel this timer
                self._write()

    def _write(self, state: str = "running", **ended: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        start = time.monotonic()
        failed = Counter(kind for kind, _ in self._failures)
        content = {
            "format": FORMAT,
            **(self._about or {}),
            "command": self._command,
            "writer": self._writer,
            "updated": now(),
            "state": state,
            "stopped_by": None,
            "error": None,
            **ended,
            "kinds": [{"kind": kind, **numbers, "failed": failed[kind]} for kind, numbers in self._kinds.items()],
            "running": [
                {"trial": trial.label, "kind": _label(trial.kind, trial.recipe), "seed": trial.seed, "started": started}
                for trial, started in self._running.items()
            ],
            **self._seconds,
            "failures": list(self._failures.values()),
            "last_trial": self._last,
        }
        with contextlib.suppress(OSError):
            part = self._path.with_suffix(".part")
            part.write_text(json.dumps(content))
            part.replace(self._path)
        end = time.monotonic()
        self._next_write = end + max(PAUSE_S, PAUSES * (end - start))


def _label(kind: str, recipe: str) -> str:
    return TUNED if recipe == "tuned" else kind


def _kind_of(record: Record) -> str:
    return _label(record.kind, record.settings.get("recipe", "same"))


def _described(record: Record) -> dict[str, Any]:
    about = {"variant": record.variant, "kind": _kind_of(record), "seed": record.seed}
    return {**about, "status": record.status, "reason": record.reason}
