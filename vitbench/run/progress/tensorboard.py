"""Writes learning curves and accuracies for TensorBoard: one event file per training, from its record. No torch.

    results/NAME/tensorboard/VARIANT/seed_N/events.out.tfevents.…

``accuracy/test`` is one point, at the last epoch; ``loss/train``, ``loss/val`` and ``accuracy/val`` are curves over
epochs, with the time of each epoch. Costs are one number per variant: the table has them.
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
"""The folder for the event files, beside the records; they can be written again from the records."""

PREFIX = "events.out.tfevents."
"""TensorBoard recognizes its files by this prefix."""

CURVES = {"loss/train": "train_loss", "loss/val": "val_loss", "accuracy/val": "val_accuracy"}
"""Array in the artifact of an accuracy record, by TensorBoard tag."""

LONGEST = 200
"""Most characters in the name of a folder."""


def check_tensorboard() -> None:
    """Raises UserError if TensorBoard, which writes the files, is not installed."""
    if find_spec("tensorboard") is None:
        raise UserError("--tensorboard needs TensorBoard, which is not installed: type pip install 'vitbench[trace]'")


class Scalars(Observer):
    """Writes one event file for every training that has a record.

    A file is named after its record and written in one step. The next run writes the files that a killed run could
    not write. If a file cannot be written, the user is told once and the run continues.

    Args:
        directory: the results folder.
        note: receives the message about a file that cannot be written.
    """

    def __init__(self, directory: Path, note: Callable[[str], None]) -> None:
        self.directory = directory
        self._tell = note
        self._told = False

    def planned(self, plan: Plan) -> None:  # noqa: ARG002
        self.catch_up()

    def catch_up(self) -> None:
        """Writes the missing files of all records."""
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
                    self._tell(
                        f"TensorBoard scalars for {name}, and possibly other trainings, could not be written: {error}"
                    )
                self._told = True


def run_name(record: Record) -> str:
    """The name in TensorBoard: ``VARIANT/seed_N``, or ``VARIANT/seed_N_tuned`` under a tuned recipe."""
    tuned = "_tuned" * (record.settings.get("recipe") == "tuned")
    return f"{folder_name(record.variant)}/seed_{record.seed}{tuned}"


def folder_name(variant: str) -> str:
    """A folder name for a variant; if characters had to be replaced, a hash keeps it unique."""
    safe = re.sub(r"[^\w.=,+-]", "_", variant, flags=re.ASCII)[:LONGEST]
    if safe == variant and safe.strip("."):
        return safe
    return f"{safe}-{hashlib.sha256(variant.encode()).hexdigest()[:8]}"


def write_events(directory: Path, name: str, record: Record) -> Path:
    """The path of the record's event file, which is written if it is missing; it replaces files of older records.

    Raises:
        OSError, ValueError, KeyError, BadZipFile: the file cannot be written, or the record's arrays cannot be read.
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
    """Tag, epoch, seconds since the training started, and value of each point; the training loss starts at epoch 1."""
    curve = _curve(directory, record)
    for index, (epoch, seconds) in enumerate(zip(curve["epoch"], curve["seconds"], strict=True)):
        for tag, array in CURVES.items():
            if epoch or array != "train_loss":
                yield tag, int(epoch), float(seconds), float(curve[array][index])
    yield "accuracy/test", record.values["epochs"], record.values["total_seconds"], record.values["accuracy"]


def _curve(directory: Path, record: Record) -> Mapping[str, Any]:
    """The arrays of the learning curve; the artifact also has large ones, which are not read."""
    import numpy as np

    (name,) = record.artifacts
    with np.load(directory / ARTIFACTS / name) as arrays:
        return {array: arrays[array] for array in ("epoch", "seconds", *CURVES.values())}
