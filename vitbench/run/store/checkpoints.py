"""The checkpoints of unfinished trainings: jobs write them, the scheduler removes them. No torch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from vitbench.records.record import Record
from vitbench.run.planning.trial import Trial

CHECKPOINTS = "checkpoints"
"""The folder, beside the records; it exists while trials run, and while a checkpoint is in it."""

PART = ".part"
"""The suffix of a file that is being written."""


class Checkpoints:
    """Where trainings save their state until they are recorded (``train.checkpoint``).

    A job on another machine writes there only if that machine sees the folder under the same path.

    Args:
        directory: the results folder.
    """

    every_s: float | None = None
    """Seconds between two checkpoints; None: the default of ``train.checkpoint``."""

    def __init__(self, directory: Path) -> None:
        self.folder = (directory / CHECKPOINTS).absolute()  # a worker may have another working directory

    def open(self, records: Iterable[Record]) -> None:
        """Removes what a killed run left: unfinished files, and checkpoints of recorded trials."""
        if not self.folder.is_dir():
            return
        final = {record.id for record in records if record.status != "timeout"}
        _remove(file for file in self.folder.iterdir() if file.suffix == PART or file.stem in final)

    def file(self, trial: Trial) -> Path | None:
        """The checkpoint of the trial; None if it trains nothing, or the folder cannot be made."""
        if not trial.trained:
            return None
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError:
            return None
        return self.folder / f"{trial.only_id}.pt"

    def ended(self, trial: Trial, records: Iterable[Record]) -> None:
        """Removes the checkpoint of a recorded trial; one that timed out keeps it, to resume with more time."""
        if trial.trained:
            final = all(record.status != "timeout" for record in records)
            _remove(file for file in self.folder.glob(f"{trial.only_id}.*") if final or file.suffix == PART)

    def close(self) -> None:
        """Removes the folder if it is empty."""
        with contextlib.suppress(OSError):
            self.folder.rmdir()


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        with contextlib.suppress(OSError):  # a file that stays costs disk space, nothing else
            file.unlink(missing_ok=True)
