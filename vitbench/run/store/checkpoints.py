"""The folder of a sweep's checkpoints, as the scheduler sees it: jobs write them, it removes them. No torch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from vitbench.records.record import Record
from vitbench.run.planning.trial import Trial

CHECKPOINTS = "checkpoints"
"""The folder, beside the records; it is there while trials run, and as long as a checkpoint is in it."""

PART = ".part"
"""Of a file that is being written."""


class Checkpoints:
    """Where trainings leave their state until they are recorded (``train.checkpoint``).

    A job on another machine writes there too if that machine sees the folder under the same path, and else nowhere.

    Args:
        directory: of the results.
    """

    every_s: float | None = None
    """Seconds from one checkpoint to the next; None: as ``train.checkpoint`` says."""

    def __init__(self, directory: Path) -> None:
        self.folder = (directory / CHECKPOINTS).absolute()  # a worker may stand elsewhere

    def open(self, records: Iterable[Record]) -> None:
        """Removes what a killed run left: files that were not finished, and of trials that are recorded."""
        if not self.folder.is_dir():
            return
        over = {record.id for record in records if _over(record)}
        _remove(file for file in self.folder.iterdir() if file.suffix == PART or file.stem in over)

    def file(self, trial: Trial) -> Path | None:
        """Where the trial leaves its state; None if it trains nothing, or there can be no such folder."""
        if not trial.trained:
            return None
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError:
            return None
        return self.folder / f"{trial.only_id}.pt"

    def ended(self, trial: Trial, records: Iterable[Record]) -> None:
        """Removes the trial's, its records being on the disk; one that ran out of time may go on with more of it."""
        if trial.trained:
            over = all(map(_over, records))
            _remove(file for file in self.folder.glob(f"{trial.only_id}.*") if over or file.suffix == PART)

    def close(self) -> None:
        """Removes the folder if nothing is in it."""
        with contextlib.suppress(OSError):
            self.folder.rmdir()


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        with contextlib.suppress(OSError):  # it takes room, and no more
            file.unlink(missing_ok=True)


def _over(record: Record) -> bool:
    return record.status != "timeout"
