"""A records file that another process may be writing: read without its lock, each line once. No torch, no pandas."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from vitbench.records.identity import SCHEMA
from vitbench.utils.errors import UserError

TUNED = "accuracy, tuned"
"""What a plan calls accuracies under tuned recipes."""


class Row(NamedTuple):
    """What is kept of a record; its samples are not."""

    id: str
    kind: str
    variant: str
    seed: int | None
    status: str
    reason: str | None
    session: str | None
    size: int | None  # records of its session
    scored: bool  # a tuning's try that has a validation accuracy
    rooms: Mapping[str, int]
    started: float  # seconds since 1970
    seconds: float

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    @property
    def ended(self) -> float:
        return self.started + self.seconds


class Follower:
    """Reads what has come to a records file since the last time.

    A last line without its end is left for the next time: it is being written, or a crash tore it. A file that was
    replaced or cut is read from its beginning.

    Attributes:
        rows: of every whole line.
        plan: the last plan's values; None before there is one.
        ablation: its name.
        torn: whether the file ends in a part of a line.
    """

    def __init__(self, path: Path) -> None:
        """Reads nothing yet."""
        self.path = path
        self._start()

    def _start(self) -> None:
        self.rows: list[Row] = []
        self.plan: Mapping[str, Any] | None = None
        self.ablation: str | None = None
        self.torn = False
        self._at = self._number = 0
        self._file: tuple[int, int] | None = None

    def read(self) -> None:
        """Takes in the lines that were added.

        Raises:
            UserError: the file cannot be read, or a line in it is foreign or from a newer schema.
        """
        first = self._at == 0
        try:
            self._read()
        except UserError:
            if first:
                raise
            self._start()  # the writer took back what it could not write whole, and has written since
            self._read()

    def _read(self) -> None:
        try:
            with self.path.open("rb") as file:
                stat = os.fstat(file.fileno())
                if self._file != (stat.st_dev, stat.st_ino) or stat.st_size < self._at:
                    self._start()
                    self._file = stat.st_dev, stat.st_ino
                file.seek(self._at)
                self.torn = False
                for line in file:
                    body = self._body(line) if line.endswith(b"\n") else None
                    if body is None:
                        self.torn = True
                        break
                    self._take(body)
                    self._at += len(line)
                    self._number += 1
        except FileNotFoundError:
            self._start()  # the writer has not made it yet, or the folder was moved aside
        except OSError as error:
            raise UserError(
                f"{self.path} cannot be read: {error.strerror}: change that, or name another folder"
            ) from error

    def _body(self, line: bytes) -> dict[str, Any] | None:
        """The line's content; None where blocks of it never reached the disk. Checksums are the report's business."""
        try:
            body = json.loads(line)
        except (ValueError, RecursionError):
            if b"\0" in line:
                return None
            raise self._foreign("not valid JSON") from None
        if not isinstance(body, dict) or not isinstance(body.get("schema"), int):
            raise self._foreign("JSON, but no record of vitbench")
        if body["schema"] > SCHEMA:
            newer = f"of a newer vitbench (schema {body['schema']}; this one reads up to {SCHEMA})"
            raise self._foreign(newer, "upgrade vitbench")
        return body

    def _foreign(self, what: str, mend: str = "mend or remove that line") -> UserError:
        return UserError(f"{self.path}, line {self._number + 1} is {what}: {mend}, or name another folder")

    def _take(self, body: Mapping[str, Any]) -> None:
        try:
            if body["kind"] == "plan":
                self.plan, self.ablation = body["values"], body["ablation"]
            self.rows.append(_row(body))
        except (KeyError, TypeError, AttributeError, ValueError):
            raise self._foreign("JSON, but no record of vitbench") from None


def _row(body: Mapping[str, Any]) -> Row:
    settings, kind = body["settings"], body["kind"]
    started = dt.datetime.fromisoformat(body["started"]) if body["started"] else None
    if started is not None and started.tzinfo is None:
        started = started.replace(tzinfo=dt.UTC)
    return Row(
        id=body["id"],
        kind=TUNED if kind == "accuracy" and settings.get("recipe") == "tuned" else kind,
        variant=body["variant"],
        seed=body["seed"],
        status=body["status"],
        reason=body["reason"],
        session=body["session"],
        size=settings.get("session_size"),
        scored=body["values"].get("val_accuracy") is not None,
        rooms=body["code"].get("components", {}),
        started=0.0 if started is None else started.timestamp(),
        seconds=float(body["seconds"]),
    )
