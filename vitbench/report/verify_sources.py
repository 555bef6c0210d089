"""Whether what a report rests on is as it was written: every record, every environment, every artifact."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vitbench.records.codec import dumps
from vitbench.records.reader import ARTIFACTS, ENVIRONMENTS, RECORDS, file_digest, load_arrays
from vitbench.records.record import DamagedError, Environment, Record
from vitbench.report.mismatch import Mismatch

UNREADABLE = (OSError, ValueError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error)
"""What numpy raises about a file of arrays that was changed or cut."""

OTHERWISE = "says what its checksum covers, but not in the way in which vitbench writes it: a character was changed"


def records(folder: Path) -> tuple[list[Record], list[Mismatch], list[str]]:
    """The whole records of a folder, the lines that are not what was written, and what is no mismatch but worth saying.

    A line cut off by a crash is no mismatch: no report rests on it.
    """
    found: list[Record] = []
    wrong: list[Mismatch] = []
    notes: list[str] = []
    lines = (folder / RECORDS).read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        try:
            record = Record.from_line(line)
        except DamagedError as damage:
            if number == len(lines) and not line.endswith(b"\n"):
                notes.append(f"the last line of {RECORDS} was torn by a crash: no number rests on it")
                continue
            wrong.append(Mismatch(RECORDS, f"line {number}{_whose(line)}", wrong=str(damage)))
            continue
        found.append(record)
        said = next(_said(record, line), None)
        if said:
            wrong.append(Mismatch(RECORDS, f"line {number}{_whose(line)}", wrong=said))
    return found, wrong, notes


def _said(record: Record, line: bytes) -> Iterator[str]:
    """What is wrong with a record whose checksum holds."""
    if dumps(json.loads(line)).encode() != line.rstrip(b"\n"):
        yield OTHERWISE
    values, right = record.values, (record.samples.get("correct") or {}).get("values")
    if right and "correct" in values and sum(right) != values["correct"]:
        yield f"its values count {values['correct']} right test images, its samples {sum(right)}"
    if values.get("num_test") and "correct" in values and record.kind == "accuracy":
        share = values["correct"] / values["num_test"]
        if abs(share - values["accuracy"]) > 1e-9:
            counted = f"{values['correct']} of {values['num_test']}"
            yield f"its accuracy is {values['accuracy']!r}, but {counted} is {share!r}"


def _whose(line: bytes) -> str:
    """Whose record a line claims to be, as far as it can be read."""
    try:
        body = json.loads(line)
        seed = "" if body["seed"] is None else f", seed {body['seed']}"
        return f" ({body['kind']}{' of ' if body['variant'] else ''}{body['variant']}{seed})"
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def environments(folder: Path, used: Sequence[Record]) -> tuple[int, list[Mismatch]]:
    """How many environments there are, and where their file is not what was written or lacks one that is used."""
    path = folder / ENVIRONMENTS
    wrong: list[Mismatch] = []
    known: set[str] = set()
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True) if path.is_file() else [], 1):
        place = f"line {number}"
        try:
            entry = json.loads(line)
            name, body = entry["hash"], entry["body"]
            same = Environment(body).hash == name
            plainly = dumps(entry).encode() == line.rstrip(b"\n")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            if line.endswith(b"\n"):
                wrong.append(Mismatch(ENVIRONMENTS, place, wrong="describes no environment"))
            continue
        known.add(name)
        if not same:
            wrong.append(Mismatch(ENVIRONMENTS, place, wrong="is not what was written: its hash does not match"))
        elif not plainly:
            wrong.append(Mismatch(ENVIRONMENTS, place, wrong=OTHERWISE.replace("checksum", "hash")))
    lacking = {r.environment for r in used} - known
    wrong += [Mismatch(ENVIRONMENTS, wrong=f"environment {name}, which records name, is missing") for name in lacking]
    return len(known), wrong


def artifacts(folder: Path, used: Sequence[Record]) -> tuple[int, int, list[Mismatch]]:
    """How many artifacts the records name, how many of them with their digest, and which do not hold."""
    wrong: list[Mismatch] = []
    names: dict[str, Record] = {name: record for record in used for name in record.artifacts}
    for name, record in names.items():
        file, path = f"{ARTIFACTS}/{name}", folder / ARTIFACTS / name
        whose = f"of {record.variant}" + (f", seed {record.seed}" if record.seed is not None else "")
        if not path.is_file():
            wrong.append(Mismatch(file, whose, wrong="is not there"))
        elif name in record.digests and file_digest(path) != record.digests[name]:
            wrong.append(Mismatch(file, whose, wrong="is not what was written: its digest is not its record's"))
        else:
            try:
                said = _disagreement(record, load_arrays(folder, name))
            except UNREADABLE as error:
                said = f"cannot be read: {error}"
            wrong += [Mismatch(file, whose, wrong=said)] if said else []
    return len(names), sum(name in record.digests for name, record in names.items()), wrong


def _disagreement(record: Record, arrays: Mapping[str, Any]) -> str:
    """Where an artifact says something else than its record."""
    if "labels" not in arrays or "predictions" not in arrays or "correct" not in record.values:
        return ""
    right = int((arrays["predictions"] == arrays["labels"]).sum())
    counted = record.values["correct"]
    return f"its predictions are right {right} times, its record says {counted}" if right != counted else ""
