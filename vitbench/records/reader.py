"""Reads a results folder: its records, environments and artifacts."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from vitbench.records.record import DamagedError, Record, line_reader
from vitbench.utils.errors import UserError, unknown
from vitbench.utils.garbage_collection import without_collector

if TYPE_CHECKING:
    import numpy as np


RECORDS, TORN, ENVIRONMENTS = "records.jsonl", "records.torn.jsonl", "environments.jsonl"
ARTIFACTS = "artifacts"

Notice: TypeAlias = Callable[[str], None]


@dataclass(frozen=True)
class Scan:
    """A records file, as far as it is whole.

    Attributes:
        records: all whole records.
        starts: where the line of each begins, in bytes.
        whole: bytes up to the end of the last whole record.
        torn: the bytes after that.
        notice: a sentence about what was left out, if anything.
    """

    records: list[Record]
    starts: list[int]
    whole: int
    torn: bytes
    notice: str | None


def scan(path: Path, *, samples: bool = True, otherwise: str = "name another folder") -> Scan:
    """Reads the file up to what a crash may have cut: its last line, or a session of which records are missing.

    Args:
        path: of the file.
        samples: whether the records keep their samples.
        otherwise: what a user can do instead of correcting a bad line, for the error message.

    Raises:
        UserError: a line is not one of our records, is damaged, or has another schema.
    """
    records: list[Record] = []
    ends = [0]
    torn = b""
    reader = line_reader(samples=samples)
    with path.open("rb") as file, without_collector():
        for number, line in enumerate(file, 1):
            try:
                record = Record.from_line(line, reader)
            except DamagedError as damage:
                cut = not line.endswith(b"\n") or b"\0" in line  # NUL: blocks that never reached the disk
                if cut and not file.read(1):
                    torn = line
                    break
                message = f"{path}, line {number} is {damage}; nothing was changed: {damage.remedy}, or {otherwise}"
                raise UserError(message) from None
            records.append(record)
            ends.append(ends[-1] + len(line))
    notice = f"the last line of {path} was torn by a crash and is set aside in {TORN}" if torn else None
    members, size = _last_session(records)
    if members < size:
        notice = f"{path} ends in {members} of {size} records of a timing session; they are set aside in {TORN}"
        del records[len(records) - members :]
    whole = ends[len(records)]
    if whole < ends[-1]:
        with path.open("rb") as file:
            file.seek(whole)
            torn = file.read()
    return Scan(records, ends[: len(records)], whole, torn, notice)


def _last_session(records: Sequence[Record]) -> tuple[int, int]:
    """How many records of a session the file ends in, and how many that session has."""
    session = records[-1].session if records else None
    if session is None:
        return 0, 0
    members = next((i for i, r in enumerate(reversed(records)) if r.session != session), len(records))
    return members, records[-1].settings.get("session_size", members)


def warn(text: str) -> None:
    warnings.warn(text, stacklevel=3)


def read(directory: str | Path, notice: Notice = warn, *, samples: bool = True) -> list[Record]:
    """All records of a results folder, in the order in which they were written.

    Args:
        directory: the folder.
        notice: called when a cut end is left out; by default it warns.
        samples: whether the records keep their samples.

    Raises:
        UserError: the folder has no records, or a line is not one of our records, is damaged, or has another schema.
    """
    path = Path(directory) / RECORDS
    try:
        if not path.is_file():
            raise _no_records(path)
        found = scan(path, samples=samples)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}: change that, or name another folder") from error
    if found.notice:
        notice(found.notice)
    return found.records


def _no_records(path: Path) -> UserError:
    folder, make = path.parent, "python -m vitbench.ablate NAME makes one"
    if path.exists():
        return UserError(f"{path} is not a records file: move it away, or name another folder; {make}")
    if folder.is_dir():
        return UserError(f"{folder} is not a results folder: it has no {RECORDS}; name another folder; {make}")
    beside = sorted(p.parent.name for p in folder.parent.glob(f"*/{RECORDS}"))
    return UserError(f"{unknown('results folder', folder.name, beside)} in {folder.parent}; {make}")


def read_environments(directory: str | Path) -> dict[str, dict[str, Any]]:
    """Hash → body of every environment that a results folder describes; a cut last line is left out."""
    path = Path(directory) / ENVIRONMENTS
    bodies: dict[str, dict[str, Any]] = {}
    if not path.is_file():
        return bodies
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                entry = json.loads(line)
                bodies[entry["hash"]] = entry["body"]
            except (ValueError, KeyError, TypeError):
                if not line.endswith(b"\n"):
                    break
                raise UserError(f"{path}, line {number} describes no environment: remove that line") from None
    return bodies


def file_digest(path: Path) -> str:
    """The digest of an artifact that its record stores: the first 20 digits of the file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:20]


def load_arrays(directory: str | Path, name: str) -> dict[str, np.ndarray]:
    """The arrays of one artifact, by name."""
    import numpy as np

    with (Path(directory) / ARTIFACTS / name).open("rb") as file, np.load(file) as arrays:
        return dict(arrays)
