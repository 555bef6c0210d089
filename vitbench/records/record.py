"""``Record``: one measurement of one variant, and its line of JSON."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, TypeAlias

from vitbench.records.codec import LineReader, add_checksum, checked_part
from vitbench.records.identity import SCHEMA, digest, plain
from vitbench.utils.errors import unknown

Status: TypeAlias = Literal["ok", "skipped", "failed", "oom", "timeout", "diverged"]
STATUSES: tuple[Status, ...] = typing.get_args(Status)
FAILURES: tuple[Status, ...] = ("failed", "oom", "timeout", "diverged")

OWN = ("id", "values", "samples", "started", "seconds", "artifacts", "digests")
"""Fields that two records seldom have in common. Equal values of all others are one object in records read together."""


class DamagedError(Exception):
    """A line that is not a record of this version.

    The message completes "line 7 is …"; ``remedy`` says what to do about the line.
    """

    def __init__(self, message: str, remedy: str = "correct or remove that line") -> None:
        super().__init__(message)
        self.remedy = remedy


@dataclass(frozen=True, kw_only=True)
class Record:
    """One measurement of one variant. It holds raw samples, never a mean alone.

    Attributes:
        schema: the version of this format.
        id: a hash of everything that determines the measurement (``identity``).
        ablation: the name of the ablation.
        kind: the measured quantity; ``…_control`` for the clone of the baseline in a timing session. ``plan`` and
            ``skip`` are not measurements.
        variant: the variant's name.
        axes: axis → the variant's value.
        config: the model's config.
        settings: what it was measured under.
        seed: of a training.
        status: how the trial ended.
        reason: why it did not succeed.
        values: what was measured, as plain JSON.
        samples: name → ``{"unit": str, "values": nested lists}``.
        environment: the hash of the machine's description in ``environments.jsonl``.
        code: version, commit and the versions of the components.
        started: when, in UTC.
        seconds: how long it took.
        session: the id of a joint timing.
        artifacts: the names of its files.
        digests: artifact → ``file_digest``.
        source: the results folder that the record was copied from, relative to this one; empty where it was measured.
    """

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
    samples: dict[str, Any] = field(default_factory=dict)
    environment: str = ""
    code: dict[str, Any] = field(default_factory=dict)
    started: str = ""
    seconds: float = 0.0
    session: str | None = None
    artifacts: list[str] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    source: str = ""

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(unknown("status", self.status, STATUSES))

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    @property
    def failed(self) -> bool:
        return self.status in FAILURES

    def line(self) -> str:
        """The record as one line of JSON, its checksum last, without the newline."""
        return add_checksum({name: plain(getattr(self, name)) for name in FIELDS})

    @classmethod
    def from_line(cls, line: bytes, reader: LineReader | None = None) -> Self:
        """The record that ``line`` wrote.

        Args:
            line: as ``line()`` returned it, in UTF-8.
            reader: shared by records that are read together (``line_reader``): faster, and in less memory.

        Raises:
            DamagedError: it is not a record, is of another schema, or was changed after it was written.
        """
        fields = None if reader is None else reader.read(line)
        if fields is None or fields["schema"] != SCHEMA:
            fields = _checked_fields(line)
            fields["samples"] = fields["samples"] if reader is None else reader.compact(fields["samples"])
        try:
            return cls(**fields)
        except ValueError as error:
            raise DamagedError(f"no record of this vitbench: {error}") from error


FIELDS = tuple(f.name for f in dataclasses.fields(Record))
"""In the order in which a line has them."""


def line_reader(*, samples: bool = True) -> LineReader:
    """A reader of many lines for ``Record.from_line``; without ``samples`` it checks and then drops them."""
    return LineReader(FIELDS, OWN, samples=samples)


def _checked_fields(line: bytes) -> dict[str, Any]:
    """The fields of a line.

    Raises:
        DamagedError: saying what is wrong.
    """
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DamagedError("not valid JSON") from error
    if not isinstance(fields, dict) or not isinstance(fields.get("schema"), int):
        raise DamagedError("JSON, but no record of vitbench")
    if (schema := fields["schema"]) != SCHEMA:
        which, remedy = ("a newer", "upgrade vitbench") if schema > SCHEMA else ("an older", "move that folder aside")
        raise DamagedError(f"of {which} vitbench (schema {schema}; this one reads {SCHEMA})", remedy)
    if tuple(fields) != (*FIELDS, "checksum"):
        raise DamagedError("JSON, but no record of vitbench")
    if checked_part(line) is None:
        raise DamagedError("not what was written: its checksum does not match")
    del fields["checksum"]
    return fields


@dataclass(frozen=True)
class Environment:
    """What does not change on a machine while it measures. Every record names its hash; its body is stored once."""

    body: Mapping[str, Any]

    @property
    def hash(self) -> str:
        return digest(self.body, 16)
