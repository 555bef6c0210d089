"""``Record``: one measurement of one variant, and its line of JSON."""

from __future__ import annotations

import dataclasses
import functools
import json
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, TypeAlias

from vitbench.records.codec import Reader, checksum, dumps
from vitbench.records.identity import SCHEMA, digest, plain
from vitbench.utils.errors import unknown

Status: TypeAlias = Literal["ok", "skipped", "failed", "oom", "timeout", "diverged"]
STATUSES: tuple[Status, ...] = typing.get_args(Status)
FAILURES: tuple[Status, ...] = ("failed", "oom", "timeout", "diverged")

LATER = ("digests", "source")
"""Fields that records of an earlier version do not have."""

OWN = ("id", "values", "started", "seconds", "artifacts", "digests")
"""Fields that hardly two records have in common; of the others, read together, equal ones are one object."""


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
