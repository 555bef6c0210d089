"""The writer of a results folder: it holds the lock, and each record is on the disk when ``append`` returns."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from vitbench.records.codec import dumps
from vitbench.records.identity import plain
from vitbench.records.reader import ARTIFACTS, ENVIRONMENTS, RECORDS, TORN, Notice, read_environments, scan, warn
from vitbench.records.record import Environment, Record, line_reader
from vitbench.run.store.backup import BackedUpFile, append_durably, sync_folder
from vitbench.run.store.lock import LockedError, acquire, is_lock, move_aside
from vitbench.utils.errors import UserError

if TYPE_CHECKING:
    import numpy as np

POLL_S = 0.5
"""Seconds between two attempts to take a lock that another process holds."""

APPEND = os.O_RDWR | os.O_CREAT | os.O_APPEND


class Writer:
    """Makes a results folder, locks it, and writes it until ``close``.

    A torn end of the records file, left by a crash, is moved to ``records.torn.jsonl`` with a notice.

    Attributes:
        directory: the folder.
        records: all records of the folder, including appended ones, without their samples (``whole`` reads these):
            the memory of a run must not grow by what its trials measure.

    Raises:
        LockedError: another process is writing the folder.
        UserError: the folder cannot be written, or a line is damaged.
    """

    def __init__(self, directory: str | Path, notice: Notice = warn) -> None:
        self.directory = Path(directory)
        self.records: list[Record] = []
        self._by_id: dict[str, list[Record]] = defaultdict(list)
        self._offsets: dict[str, int] = {}  # of the last successful record of each id
        self._reader = line_reader(samples=False)
        self._notice = notice
        self._files: dict[str, BackedUpFile] = {}
        self._broken: UserError | None = None
        self._lock = -1
        try:
            (self.directory / ARTIFACTS).mkdir(parents=True, exist_ok=True)
            self._lock = acquire(self.directory)
            self._repair_records(notice)
            self._repair_environments()
            self._environments = set(read_environments(self.directory))
            sync_folder(self.directory)
            self._files = {name: BackedUpFile(self.directory / name) for name in (RECORDS, ENVIRONMENTS)}
        except OSError as error:
            self.close()
            raise self._unwritable(error) from error
        except UserError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Checks the files a last time and releases the folder."""
        try:
            if self._broken is None:
                self._restore_changed()
        finally:
            if self._lock >= 0:
                os.close(self._lock)
            self._lock = -1
            for file in self._files.values():
                file.close()
            self._files = {}

    def append(self, record: Record) -> None:
        """Writes the record; when this returns it is on the disk."""
        self.append_many([record])

    def append_many(self, records: Iterable[Record]) -> None:
        """Writes the records at once, so that a session arrives whole; when this returns they are on the disk.

        Raises:
            UserError: the disk is full or gone; the file is left as it was.
        """
        lines = [f"{record.line()}\n".encode() for record in records]
        offset = self._append(RECORDS, b"".join(lines))
        for line in lines:
            self._keep(Record.from_line(line, self._reader), offset)
            offset += len(line)

    def of(self, record_id: str) -> Sequence[Record]:
        """The records with that id, without their samples."""
        return self._by_id.get(record_id, ())

    def whole(self, record: Record) -> Record:
        """The record with the samples that the file holds under its id."""
        offset = None if record.samples else self._offsets.get(record.id)
        if offset is None:
            return record
        self._restore_changed()
        with (self.directory / RECORDS).open("rb") as file:
            file.seek(offset)
            return dataclasses.replace(record, samples=Record.from_line(file.readline()).samples)

    def add_environment(self, environment: Environment) -> str:
        """Writes the description of an environment unless the folder has it, and returns its hash."""
        if environment.hash not in self._environments:
            line = dumps({"hash": environment.hash, "body": plain(environment.body)}) + "\n"
            self._append(ENVIRONMENTS, line.encode())
            self._environments.add(environment.hash)
        return environment.hash

    def save_arrays(self, name: str, arrays: Mapping[str, np.ndarray]) -> str:
        """Writes ``artifacts/NAME.npz`` in one step, before the record that names it; returns the file's name."""
        import numpy as np

        target = self.directory / ARTIFACTS / f"{name}.npz"
        self._save(target, lambda file: np.savez_compressed(file, allow_pickle=False, **dict(arrays)))
        return target.name

    def save_copy(self, source: Path, folder: str) -> None:
        """Copies a file into a folder beside the records, in one step."""
        target = self.directory / folder / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        with source.open("rb") as original:
            self._save(target, lambda file: shutil.copyfileobj(original, file))

    def _save(self, target: Path, fill: Callable[[IO[bytes]], None]) -> None:
        self._restore_changed()
        part = target.with_suffix(".part")
        try:
            with part.open("wb") as file:
                fill(file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
            sync_folder(target.parent)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise self._unwritable(error) from error

    def _append(self, name: str, data: bytes) -> int:
        self._restore_changed()
        try:
            return self._files[name].append(data)
        except OSError as error:
            raise self._unwritable(error) from error

    def _keep(self, record: Record, offset: int) -> None:
        self.records.append(record)
        self._by_id[record.id].append(record)
        if record.ok:
            self._offsets[record.id] = offset

    def _restore_changed(self) -> None:
        """Restores what something other than this writer changed or removed: a trial may do anything.

        Raises:
            UserError: it cannot be restored, or another process has taken the folder.
        """
        if self._broken is not None:
            raise self._broken
        if all(file.intact for file in self._files.values()):
            return
        try:
            (self.directory / ARTIFACTS).mkdir(parents=True, exist_ok=True)
            if not is_lock(self._lock, self.directory):
                lock = acquire(self.directory)
                os.close(self._lock)
                self._lock = lock
            for file in self._files.values():
                if not file.intact:
                    self._notice(file.restore())
        except UserError as error:
            self._broken = error
            raise
        except OSError as error:
            self._broken = UserError(
                f"{self.directory} was changed by something other than this run and cannot be restored: "
                f"{error.strerror}; type --results OTHER"
            )
            raise self._broken from error

    def _repair_records(self, notice: Notice) -> None:
        """Reads the records, and moves a torn end of the file aside."""
        fd = os.open(self.directory / RECORDS, APPEND, 0o644)
        try:
            otherwise = "type --results OTHER to leave this folder alone"
            found = scan(self.directory / RECORDS, samples=False, otherwise=otherwise)
            for record, offset in zip(found.records, found.starts, strict=True):
                self._keep(record, offset)
            if found.torn:
                aside = os.open(self.directory / TORN, APPEND, 0o644)
                try:
                    append_durably(aside, found.torn.rstrip(b"\n") + b"\n")
                finally:
                    os.close(aside)
                os.ftruncate(fd, found.whole)
                os.fsync(fd)
            elif found.whole and os.pread(fd, 1, found.whole - 1) != b"\n":
                append_durably(fd, b"\n")  # only the newline was torn off: the record is whole
        finally:
            os.close(fd)
        if found.notice:
            notice(found.notice)

    def _repair_environments(self) -> None:
        """Cuts off a torn last line; no record refers to it yet."""
        path = self.directory / ENVIRONMENTS
        if path.is_file() and not (content := path.read_bytes()).endswith(b"\n"):
            os.truncate(path, content.rfind(b"\n") + 1)

    def _unwritable(self, error: OSError) -> UserError:
        return UserError(
            f"{error.filename or self.directory} cannot be written: {error.strerror}; recorded results are kept: "
            "make room or change its permissions, or type --results OTHER"
        )


def open_writer(directory: Path, note: Notice, *, fresh: bool = False, wait: bool = False) -> Writer:
    """The writer of a folder, now or when the process that is writing it has ended.

    Args:
        directory: the folder.
        note: told who is writing the folder, and what was moved or repaired.
        fresh: moves an existing folder aside first.
        wait: waits until no other process writes the folder; Ctrl-C ends the wait.

    Raises:
        LockedError: another process is writing the folder, and ``wait`` is not set.
        UserError: the folder cannot be written or moved, or a line is damaged.
    """
    told = ""
    while True:
        try:
            if fresh and (moved := move_aside(directory)):
                note(f"{directory} was moved to {moved}")
            fresh = False
            return Writer(directory, note)
        except LockedError as locked:
            if not wait:
                raise
            if (reason := str(locked).partition(": type")[0]) != told:
                note(f"{reason}: waiting for it to end")
                told = reason
        time.sleep(POLL_S)
