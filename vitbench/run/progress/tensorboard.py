"""Curves and accuracies for TensorBoard: an event file a training, made from its record. No torch, no TensorFlow.

    results/NAME/tensorboard/VARIANT/seed_N/events.out.tfevents.…

``accuracy/test`` is one point, at the last epoch; ``loss/train``, ``loss/val`` and ``accuracy/val`` are curves over
epochs, each at the time at which it was reached. Costs are one number a variant, and stand in the table.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from vitbench.records.reader import ARTIFACTS, read
from vitbench.records.record import Record
from vitbench.run.planning.trial import Trial
from vitbench.run.progress.observer import Observer
from vitbench.utils.errors import UserError

if TYPE_CHECKING:
    from vitbench.run.planning.plan import Plan

TENSORBOARD = "tensorboard"
"""The folder, beside the records; like the table it can be made again from them."""

PREFIX = "events.out.tfevents."
"""What TensorBoard knows its files by."""

CURVES = {"loss/train": "train_loss", "loss/val": "val_loss", "accuracy/val": "val_accuracy"}
"""Tag → array of an accuracy record's artifact."""

LONGEST = 200
"""Characters of a folder's name."""


def check_tensorboard() -> None:
    """Raises UserError where TensorBoard, which knows the format, is not installed."""
    if find_spec("tensorboard") is None:
        raise UserError("--tensorboard needs TensorBoard, which is not installed: type pip install 'vitbench[trace]'")


class Scalars(Observer):
    """Writes an event file for every training that has a record, once.

    A file is named after its record, and written in one step; what a killed run could not write any more is made up
    for when the next one begins. What cannot be written is told of once, and ends no run.

    Args:
        directory: of the results.
        note: told what could not be written.
    """

    def __init__(self, directory: Path, note: Callable[[str], None]) -> None:
        self.directory = directory
        self._tell = note
        self._told = False

    def planned(self, plan: Plan) -> None:  # noqa: ARG002  # an observer's
        self.catch_up()

    def catch_up(self) -> None:
        """Writes what is missing of all that is recorded."""
        self._write(read(self.directory, lambda _: None))

    def finished(self, trial: Trial, records: list[Record]) -> None:  # noqa: ARG002
        self._write(records)

    def _write(self, records: Iterable[Record]) -> None:
        latest = {run_name(record): record for record in records if record.kind == "accuracy" and record.ok}
        for name, record in latest.items():
            try:
                write_events(self.directory, name, record)
            except (OSError, ValueError, KeyError, BadZipFile) as error:  # a full disk, a damaged artifact
                if not self._told:
                    self._tell(f"no scalars of {name} can be written, nor perhaps of others: {error}")
                self._told = True


def run_name(record: Record) -> str:
    """``VARIANT/seed_N``, as TensorBoard lists it; under a tuned recipe ``VARIANT/seed_N_tuned``."""
    tuned = "_tuned" * (record.settings.get("recipe") == "tuned")
    return f"{folder_name(record.variant)}/seed_{record.seed}{tuned}"


def folder_name(variant: str) -> str:
    """A variant's name as one folder's; where it had to be changed, with a hash, so that no two become one."""
    safe = re.sub(r"[^\w.=,+-]", "_", variant, flags=re.ASCII)[:LONGEST]
    if safe == variant and safe.strip("."):
        return safe
    return f"{safe}-{hashlib.sha256(variant.encode()).hexdigest()[:8]}"


def write_events(directory: Path, name: str, record: Record) -> Path:
    """Writes the record's event file, unless it is there, in the place of an older record's; returns where it stands.

    Raises:
        OSError, ValueError, KeyError, BadZipFile: it cannot be written, or the record's arrays cannot be read.
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    folder, start = directory / TENSORBOARD / name, dt.datetime.fromisoformat(record.started).timestamp()
    path = folder / f"{PREFIX}{start:010.0f}.{record.id}"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / "unfinished"
    with part.open("wb") as file:
        events = RecordWriter(file)
        events.write(Event(wall_time=start, file_version="brain.Event:2").SerializeToString())
        for tag, epoch, seconds, value in points(directory, record):
            summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
            events.write(Event(wall_time=start + seconds, step=epoch, summary=summary).SerializeToString())
    for older in folder.glob(f"{PREFIX}*"):
        older.unlink()
    return part.replace(path)


def points(directory: Path, record: Record) -> Iterator[tuple[str, int, float, float]]:
    """Tag, epoch, seconds since the training began and value of each point; the train loss begins with epoch 1."""
    curve = _curve(directory, record)
    for index, (epoch, seconds) in enumerate(zip(curve["epoch"], curve["seconds"], strict=True)):
        for tag, array in CURVES.items():
            if epoch or array != "train_loss":
                yield tag, int(epoch), float(seconds), float(curve[array][index])
    yield "accuracy/test", record.values["epochs"], record.values["total_seconds"], record.values["accuracy"]


def _curve(directory: Path, record: Record) -> Mapping[str, Any]:
    """Of its arrays those that are needed: an artifact holds the logits of the test split too."""
    import numpy as np

    (name,) = record.artifacts
    with np.load(directory / ARTIFACTS / name) as arrays:
        return {array: arrays[array] for array in ("epoch", "seconds", *CURVES.values())}
