"""The one writer of a results folder: it holds the lock, and a record is on the disk when ``append`` returns."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from vitbench.records.codec import dumps
from vitbench.records.identity import plain
from vitbench.records.reader import ARTIFACTS, ENVIRONMENTS, RECORDS, TORN, Notice, read_environments, scan, warn
from vitbench.records.record import Environment, Record, line_reader
from vitbench.run.store.backup import Spare, sync_folder
from vitbench.run.store.lock import is_lock, locked
from vitbench.utils.errors import UserError

if TYPE_CHECKING:
    import numpy as np


class Writer:
    """The one writer of a results folder, from construction (which makes the folder and locks it) to ``close``.

    What a crash tore at the end of the file is moved to ``records.torn.jsonl``, with a notice.

    Attributes:
        directory: the folder.
        records: all that it holds, those appended since included, without their samples (``whole`` has them): what a
            run keeps in memory must not grow by what its trials measure.

    Raises:
        UserError: the folder cannot be written, another process is writing it, or a line is damaged.
    """

    def __init__(self, directory: str | Path, notice: Notice = warn) -> None:
        self.directory = Path(directory)
        self.records: list[Record] = []
        self._by_id: dict[str, list[Record]] = defaultdict(list)
        self._starts: dict[str, int] = {}  # of the line of each that succeeded, in bytes
        self._reader = line_reader(samples=False)
        self._notice = notice
        self._spares: dict[str, Spare] = {}
        self._lost: UserError | None = None  # the folder, and why
        self._lock = self._file = -1
        try:
            (self.directory / ARTIFACTS).mkdir(parents=True, exist_ok=True)
            self._lock = locked(self.directory)
            self._file = os.open(self.directory / RECORDS, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            self._repair(notice)
            self._environments = set(read_environments(self.directory))
            sync_folder(self.directory)
            self._spares = {name: Spare(self.directory / name) for name in (RECORDS, ENVIRONMENTS)}
        except OSError as error:
            self.close()
            raise self._trouble(error) from error
        except UserError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Releases the folder, with all that was written in it."""
        try:
            if self._lost is None:
                self._guard()
        finally:
            for fd in (self._file, self._lock):
                if fd >= 0:
                    os.close(fd)
            self._file = self._lock = -1
            for spare in self._spares.values():
                spare.give_up()
            self._spares = {}

    def append(self, record: Record) -> None:
        """Writes the record; when this returns it is on the disk."""
        self.append_many([record])

    def append_many(self, records: Iterable[Record]) -> None:
        """Writes the records in one call, so that a session arrives whole; when this returns they are on the disk.

        Raises:
            UserError: the disk is full or gone; the file is left as it was.
        """
        lines = [f"{record.line()}\n".encode() for record in records]
        self._guard()
        start = self._spares[RECORDS].append(self._write, self._file, b"".join(lines))
        for line in lines:
            self._keep(Record.from_line(line, self._reader), start)
            start += len(line)

    def of(self, name: str) -> Sequence[Record]:
        """The records with that id, without their samples."""
        return self._by_id.get(name, ())

    def whole(self, record: Record) -> Record:
        """The record with the samples that stand in the file under its id."""
        start = None if record.samples else self._starts.get(record.id)
        if start is None:
            return record
        self._guard()
        with (self.directory / RECORDS).open("rb") as file:
            file.seek(start)
            return dataclasses.replace(record, samples=Record.from_line(file.readline()).samples)

    def _keep(self, record: Record, start: int) -> None:
        self.records.append(record)
        self._by_id[record.id].append(record)
        if record.ok:
            self._starts[record.id] = start

    def add_environment(self, environment: Environment) -> str:
        """Writes the environment's body unless it stands there already, and returns its hash."""
        if environment.hash not in self._environments:
            self._guard()
            try:
                fd = os.open(self.directory / ENVIRONMENTS, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            except OSError as error:
                raise self._trouble(error) from error
            try:
                size = os.fstat(fd).st_size
                cut = size and os.pread(fd, 1, size - 1) != b"\n"  # torn; no record rests on it yet
                line = dumps({"hash": environment.hash, "body": plain(environment.body)}) + "\n"
                if cut:
                    os.ftruncate(fd, os.pread(fd, size, 0).rfind(b"\n") + 1)
                    self._spares[ENVIRONMENTS].give_up()
                    self._spares[ENVIRONMENTS] = Spare(self.directory / ENVIRONMENTS)
                self._spares[ENVIRONMENTS].append(self._write, fd, line.encode())
            finally:
                os.close(fd)
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
        self._guard()
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
            raise self._trouble(error) from error

    def _guard(self) -> None:
        """Puts back what something other than this writer changed or removed: a trial may do anything.

        Raises:
            UserError: it cannot be put back, or somebody else has taken the folder.
        """
        if self._lost is not None:
            raise self._lost
        if all(spare.intact for spare in self._spares.values()):
            return
        try:
            (self.directory / ARTIFACTS).mkdir(parents=True, exist_ok=True)
            if not is_lock(self._lock, self.directory):
                lock = locked(self.directory)
                os.close(self._lock)
                self._lock = lock
            for spare in self._spares.values():
                if not spare.intact:
                    self._notice(spare.restore())
            os.close(self._file)
            self._file = os.open(self.directory / RECORDS, os.O_RDWR | os.O_APPEND)
        except UserError as error:
            self._lost = error
            raise
        except OSError as error:
            self._lost = UserError(
                f"{self.directory} was changed by something other than this run and cannot be put right: "
                f"{error.strerror}; type --results OTHER"
            )
            raise self._lost from error

    def _write(self, fd: int, data: bytes) -> int:
        """Appends the bytes, down to the disk, and returns where they begin; all of them or nothing."""
        size = os.fstat(fd).st_size
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(fd, rest) :]
            os.fsync(fd)
        except OSError as error:
            os.ftruncate(fd, size)
            raise self._trouble(error) from error
        return size

    def _repair(self, notice: Notice) -> None:
        otherwise = "type --results OTHER to leave this folder alone"
        found = scan(self.directory / RECORDS, samples=False, otherwise=otherwise)
        for record, start in zip(found.records, found.starts, strict=True):
            self._keep(record, start)
        if found.torn:
            aside = os.open(self.directory / TORN, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                self._write(aside, found.torn.rstrip(b"\n") + b"\n")
            finally:
                os.close(aside)
            os.ftruncate(self._file, found.whole)
            os.fsync(self._file)
        elif found.whole and os.pread(self._file, 1, found.whole - 1) != b"\n":
            self._write(self._file, b"\n")  # only the newline was torn off: the record is whole
        if found.notice:
            notice(found.notice)

    def _trouble(self, error: OSError) -> UserError:
        return UserError(
            f"{error.filename or self.directory} cannot be written: {error.strerror}; what was recorded is kept: "
            "make room or change its permissions, or type --results OTHER"
        )
