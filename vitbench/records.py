"""Records: what was measured, one JSON object a line, appended and flushed, never rewritten. No torch, no pandas.

A folder holds ``records.jsonl`` (the truth), ``environments.jsonl`` (each machine's description once, by hash),
``artifacts/`` (arrays too large for a line) and, if a crash ever tore something, ``records.torn.jsonl``.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import hashlib
import json
import math
import types
import typing
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from vitbench.collector import without_collector
from vitbench.config import essence
from vitbench.errors import UserError, unknown
from vitbench.lines import Reader, checksum, dumps

if TYPE_CHECKING:
    import numpy as np

SCHEMA = 1
VERSIONS: Mapping[str, int] = types.MappingProxyType({"models": 1, "data": 1, "train": 1, "measure": 3})
"""Raised by hand when a room's change alters its numbers: ids change with it, and the old records are measured anew.

A config's changed default is such a change, since ids do not cover what is at its default.
"""

IDS = 2
"""How ids are made, as records note it under ``code``; before it was noted, ids covered the defaults too."""

Status: TypeAlias = Literal["ok", "skipped", "failed", "oom", "timeout", "diverged"]
STATUSES: tuple[Status, ...] = typing.get_args(Status)
FAILURES: tuple[Status, ...] = ("failed", "oom", "timeout", "diverged")

RECORDS, TORN, ENVIRONMENTS = "records.jsonl", "records.torn.jsonl", "environments.jsonl"
ARTIFACTS = "artifacts"

LATER = ("digests", "source")
"""Fields that records of an earlier version do not have."""

OWN = ("id", "values", "started", "seconds", "artifacts", "digests")
"""Fields that hardly two records have in common; of the others, read together, equal ones are one object."""

Notice: TypeAlias = Callable[[str], None]


def now() -> str:
    """The time as records write it: UTC, ISO 8601, milliseconds."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")


def plain(value: Any) -> Any:
    """The value as JSON holds it: tuples and arrays as lists; NaN and infinity, which JSON has not, as null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")  # lone surrogates come from file names and tracebacks
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return {str(plain(k)): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if hasattr(value, "tolist"):  # numpy's scalars and arrays, without importing numpy
        return plain(value.tolist())
    raise TypeError(f"a record cannot hold {type(value).__name__}: {value!r}")


def digest(value: Any, length: int = 20) -> str:
    """A hash of the content: the order of keys, tuple or list, and 4 or 4.0 make no difference."""

    def same(item: Any) -> Any:
        if isinstance(item, dict):
            return {k: same(v) for k, v in item.items()}
        if isinstance(item, list):
            return [same(v) for v in item]
        return int(item) if isinstance(item, float) and item.is_integer() else item

    return hashlib.sha256(dumps(same(plain(value)), sort=True).encode()).hexdigest()[:length]


def identity(
    kind: str,
    config: Mapping[str, Any] | None,
    *,
    rooms: Iterable[str],
    data: Mapping[str, Any] | None = None,
    train: Mapping[str, Any] | None = None,
    seed: int | None = None,
    settings: Mapping[str, Any] | None = None,
    session: str | None = None,
) -> str:
    """The id of a measurement: a hash of all that determines it, and of nothing else (no commit, no variant's name).

    Fields at their default take no part, so that a knob that is added, off by default, changes no id.

    Args:
        kind: of the record.
        config: the model's.
        rooms: whose hand-raised version numbers take part (``VERSIONS``).
        data: name and version of the data set, and how much of it, where it matters.
        train: the recipe, where it matters.
        seed: of the trial.
        settings: of the measurement: device, and fields of ``MeasureConfig`` that matter.
        session: of a joint timing.
    """
    return digest(
        {
            "kind": kind,
            "config": None if config is None else essence(config),
            "versions": {room: VERSIONS[room] for room in rooms},
            "data": None if data is None else essence({**data, "type": "DataConfig"}),
            "train": None if train is None else essence(train),
            "seed": seed,
            "settings": None if settings is None else essence({**settings, "type": "MeasureConfig"}),
            "session": session,
        }
    )


class DamagedError(Exception):
    """A line that is no record of ours; the message completes "line 7 is …"."""


class NewerError(DamagedError):
    """A record of a schema that is still unknown here."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One measurement of one variant (DESIGN, ``records.jsonl``). Holds raw samples, never a mean alone."""

    schema: int = SCHEMA
    id: str
    ablation: str
    kind: str
    variant: str
    axes: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    status: Status = "ok"
    reason: str | None = None
    values: dict[str, Any] = field(default_factory=dict)
    samples: dict[str, Any] = field(default_factory=dict)  # name → {"unit": str, "values": nested lists}
    environment: str = ""
    code: dict[str, Any] = field(default_factory=dict)
    started: str = ""
    seconds: float = 0.0
    session: str | None = None
    artifacts: list[str] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)  # artifact → ``file_digest``; of none in older records
    source: str = ""  # the folder that it was taken over from, as it stands beside this one; "": measured here

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(unknown("status", self.status, STATUSES))

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    @property
    def failed(self) -> bool:
        return self.status in FAILURES

    @property
    def checksum(self) -> str:
        return checksum(plain(_fields(self)))

    def line(self) -> str:
        """The record as one line of JSON, its checksum last, without the newline."""
        body = plain(_fields(self))
        return dumps({**body, "checksum": checksum(body)})

    @classmethod
    def from_line(cls, line: bytes, reader: Reader | None = None) -> Self:
        """The record that ``line`` wrote.

        Args:
            line: as ``line()`` gave it, in UTF-8.
            reader: of records that are read together (``line_reader``): faster, and in less memory.

        Raises:
            DamagedError: it is no record, of a newer schema, or not what was written.
        """
        body = None if reader is None else reader.read(line)
        if body is None or body["schema"] != SCHEMA:
            body = _carefully(line)
            body["samples"] = body["samples"] if reader is None else reader.kept(body["samples"])
        try:
            return cls(**body)
        except ValueError as error:
            raise DamagedError(f"no record of this vitbench: {error}") from error


def line_reader(*, samples: bool = True) -> Reader:
    """What ``Record.from_line`` takes to read many lines; without ``samples`` it checks them and leaves them out."""
    return Reader([f.name for f in dataclasses.fields(Record)], LATER, OWN, samples=samples)


def _carefully(line: bytes) -> dict[str, Any]:
    """The fields of a line, or what is wrong with it."""
    try:
        body = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DamagedError("not valid JSON") from error
    if not isinstance(body, dict) or not isinstance(body.get("schema"), int):
        raise DamagedError("JSON, but no record of vitbench")
    if body["schema"] > SCHEMA:
        raise NewerError(f"of a newer vitbench (schema {body['schema']}; this one reads up to {SCHEMA})")
    given = body.pop("checksum", None)
    if {*body, *LATER} != _names():
        raise DamagedError("JSON, but no record of vitbench")
    try:
        matches = given == checksum(body)
    except ValueError:  # NaN or infinity, which no record of ours holds
        matches = False
    if not matches:
        raise DamagedError("not what was written: its checksum does not match")
    return body


@functools.cache
def _names() -> frozenset[str]:
    return frozenset(f.name for f in dataclasses.fields(Record))


def _fields(record: Record) -> dict[str, Any]:
    """What a line holds: a field that came later only where it says something; older records stay as they are."""
    found = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
    return {name: value for name, value in found.items() if value or name not in LATER}


@dataclass(frozen=True)
class Environment:
    """What stays the same on a machine while it measures; its hash stands in every record, its body once."""

    body: Mapping[str, Any]

    @property
    def hash(self) -> str:
        return digest(self.body, 16)


@dataclass(frozen=True)
class Scan:
    records: list[Record]
    starts: list[int]  # of each of them, in bytes
    whole: int  # bytes up to the last record that counts
    torn: bytes  # what follows
    notice: str | None  # about it


def scan(path: Path, *, samples: bool = True, otherwise: str = "name another folder") -> Scan:
    """Reads the file up to what a crash may have torn: the last line, or a session that did not arrive whole.

    Args:
        path: of the file.
        samples: whether the records keep theirs.
        otherwise: what a user can do who wants nothing of a file with a bad line.

    Raises:
        UserError: a line in it is foreign, damaged or from a newer schema.
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
                torn_here = not line.endswith(b"\n") or b"\0" in line  # NUL: blocks that never reached the disk
                if torn_here and not file.read(1):
                    torn = line
                    break
                mend = "upgrade vitbench" if isinstance(damage, NewerError) else "mend or remove that line"
                raise UserError(
                    f"{path}, line {number} is {damage}; nothing was changed: {mend}, or {otherwise}"
                ) from None
            records.append(record)
            ends.append(ends[-1] + len(line))
    notice = f"the last line of {path} was torn by a crash and is set aside in {TORN}" if torn else None
    session = records[-1].session if records else None
    if session is not None:
        members = next((i for i, r in enumerate(reversed(records)) if r.session != session), len(records))
        size = records[-1].settings.get("session_size", members)
        if members < size:
            notice = f"{path} ends in {members} of {size} records of a timing session; they are set aside in {TORN}"
            del records[len(records) - members :]
    whole = ends[len(records)]
    if whole < ends[-1]:
        with path.open("rb") as file:
            file.seek(whole)
            torn = file.read()
    return Scan(records, ends[: len(records)], whole, torn, notice)


def warn(text: str) -> None:
    warnings.warn(text, stacklevel=3)


def read(directory: str | Path, notice: Notice = warn) -> list[Record]:
    """All records of a results folder, in the order in which they were written.

    Args:
        directory: the folder.
        notice: told when a torn end was left out; by default a Python warning.

    Raises:
        UserError: the folder has no records, or a line in it is foreign, damaged or from a newer schema.
    """
    path = Path(directory) / RECORDS
    try:
        if not path.is_file():
            raise _no_records(path)
        found = scan(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}: change that, or name another folder") from error
    if found.notice:
        notice(found.notice)
    return found.records


def _no_records(path: Path) -> UserError:
    folder, make = path.parent, "python -m vitbench.ablate NAME makes one"
    if path.exists():
        return UserError(f"{path} is no file of records: move it away, or name another folder; {make}")
    if folder.is_dir():
        return UserError(f"{folder} is no results folder: it has no {RECORDS}; name another folder; {make}")
    beside = sorted(p.parent.name for p in folder.parent.glob(f"*/{RECORDS}"))
    return UserError(f"{unknown('results folder', folder.name, beside)} in {folder.parent}; {make}")


def read_environments(directory: str | Path) -> dict[str, dict[str, Any]]:
    """Hash → body of every environment described in a results folder; a torn last line is left out."""
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
    """What a record keeps of an artifact's bytes: the first 20 digits of their SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:20]


def load_arrays(directory: str | Path, name: str) -> dict[str, np.ndarray]:
    """The arrays of one artifact, by name."""
    import numpy as np

    with (Path(directory) / ARTIFACTS / name).open("rb") as file, np.load(file) as arrays:
        return dict(arrays)
