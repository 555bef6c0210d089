"""The state of a sweep, from its ``progress.json`` and from the process that writes it. No torch, no pandas."""

from __future__ import annotations

import datetime as dt
import socket
from pathlib import Path
from typing import Any

import psutil

from vitbench.records.reader import RECORDS, read
from vitbench.run.progress.progress_file import read_progress
from vitbench.run.store.lock import Holder, holder_of
from vitbench.utils.errors import UserError

ACTIVE = ("starting", "running", "unknown")
"""The states in which a sweep may still be running."""

TOLERANCE_S = 2.0
"""The clock may have been set between a process's start and its first file."""


def sweep_status(folder: Path) -> dict[str, Any]:
    """Everything that ``--json`` prints.

    ``state`` is one of: ``starting`` (no plan yet), ``running``, ``finished``, ``stopped`` (``stopped_by`` is
    ``interrupt``, ``budget``, ``error`` or ``kill``), ``unknown`` (it runs on another machine, or did) and
    ``not recorded`` (a folder without a readable progress file: it has only ``records``, counted by kind and status).

    Raises:
        UserError: there is no such results folder, or its records cannot be read.
    """
    holder = holder_of(folder)  # before the progress: the last progress of a sweep that ends now is then read
    found = read_progress(folder)
    if holder is not None and holder.alive and (found is None or holder.since > found["updated"]):
        writer = {"pid": holder.pid, "host": holder.host, "since": holder.since, "alive": True}
        return {"folder": str(folder), "state": "starting", "writer": writer}
    if found is None:
        return {"folder": str(folder), "state": "not recorded", "records": _record_counts(folder)}
    alive = _is_alive(found["writer"], holder)
    if found["state"] == "running" and not alive:
        found |= {"state": "unknown"} if alive is None else {"state": "stopped", "stopped_by": "kill"}
    age_s = _age_s(found["updated"])
    if found["state"] not in ACTIVE:
        for kind in found["kinds"]:
            kind |= {"running": 0, "left": kind["left"] + kind["running"]}
        found["running"] = []
    elif found["remaining_s"] is not None:
        found["remaining_s"] = max(found["waiting_s"], found["remaining_s"] - age_s)
    for trial in found["running"]:
        trial["seconds"] = _age_s(trial["started"])
    if found["last_trial"] is not None:
        found["last_trial"]["age_s"] = _age_s(found["last_trial"]["ended"])
    totals = {name: sum(kind[name] for kind in found["kinds"]) for name in ("planned", "done", "failed", "left")}
    found["writer"]["alive"] = alive
    del found["format"], found["waiting_s"]
    return {"folder": str(folder), **found, **totals, "age_s": age_s}


def _record_counts(folder: Path) -> dict[str, dict[str, int]]:
    """Number of records by kind and status; without plans and timing controls."""
    if not folder.exists() and (Path("results") / folder / RECORDS).is_file():
        raise UserError(f"there is no folder {folder}: type python -m vitbench.status {Path('results') / folder}")
    counts: dict[str, dict[str, int]] = {}
    for record in read(folder, samples=False):
        if record.kind != "plan" and not record.kind.endswith("_control"):
            by_status = counts.setdefault(record.kind, {})
            by_status[record.status] = by_status.get(record.status, 0) + 1
    return counts


def _is_alive(writer: dict[str, Any], holder: Holder | None) -> bool | None:
    """Whether the process that wrote the progress still writes this folder; None where that cannot be known here."""
    if writer["host"] != socket.gethostname():
        return None
    if holder is None or holder.pid != writer["pid"] or holder.alive is False:
        return False  # it released the folder, or this folder is a copy
    try:
        process = psutil.Process(holder.pid)
        started = process.create_time()  # later than the file: another process has got its number
        return bool(process.status() != psutil.STATUS_ZOMBIE and started < _seconds(writer["since"]) + TOLERANCE_S)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return None


def _seconds(when: str) -> float:
    return dt.datetime.fromisoformat(when).timestamp()


def _age_s(when: str) -> float:
    return max(0.0, dt.datetime.now(dt.UTC).timestamp() - _seconds(when))
