"""Verifies that records, environments and artifacts are as they were written."""

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
from vitbench.report.text_differences import Mismatch

UNREADABLE = (OSError, ValueError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error)
"""What numpy raises for a damaged file of arrays."""

REWRITTEN = "has the content of its {}, but vitbench writes it differently: a character was changed"


def records(folder: Path) -> tuple[list[Record], list[Mismatch], list[str]]:
    """The undamaged records, the damaged lines, and a note if a crash cut the last line, which no report uses."""
    found: list[Record] = []
    wrong: list[Mismatch] = []
    notes: list[str] = []
    lines = (folder / RECORDS).read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        place = f"line {number}{_owner(line)}"
        try:
            record = Record.from_line(line)
        except DamagedError as damage:
            if number == len(lines) and not line.endswith(b"\n"):
                notes.append(f"a crash cut the last line of {RECORDS}; the report does not use it")
            else:
                wrong.append(Mismatch(RECORDS, place, wrong=str(damage)))
            continue
        found.append(record)
        wrong += [Mismatch(RECORDS, place, wrong=problem) for problem in list(_problems(record, line))[:1]]
    return found, wrong, notes


def _problems(record: Record, line: bytes) -> Iterator[str]:
    """What is wrong with a record whose checksum matches."""
    if dumps(json.loads(line)).encode() != line.rstrip(b"\n"):
        yield REWRITTEN.format("checksum")
    values, right = record.values, (record.samples.get("correct") or {}).get("values")
    if right and "correct" in values and sum(right) != values["correct"]:
        yield f"its values count {values['correct']} correct test images, its samples {sum(right)}"
    if values.get("num_test") and "correct" in values and record.kind == "accuracy":
        share = values["correct"] / values["num_test"]
        if abs(share - values["accuracy"]) > 1e-9:
            fraction = f"{values['correct']} of {values['num_test']}"
            yield f"its accuracy is {values['accuracy']!r}, but {fraction} is {share!r}"


def _owner(line: bytes) -> str:
    """The kind, variant and seed of a record, if its line can be read."""
    try:
        body = json.loads(line)
        seed = "" if body["seed"] is None else f", seed {body['seed']}"
        return f" ({body['kind']}{' of ' if body['variant'] else ''}{body['variant']}{seed})"
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def environments(folder: Path, used: Sequence[Record]) -> tuple[int, list[Mismatch]]:
    """The number of environments, and the lines that were changed or are missing."""
    path = folder / ENVIRONMENTS
    wrong: list[Mismatch] = []
    known: set[str] = set()
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True) if path.is_file() else [], 1):
        place = f"line {number}"
        try:
            entry = json.loads(line)
            name, body = entry["hash"], entry["body"]
            same = Environment(body).hash == name
            unchanged = dumps(entry).encode() == line.rstrip(b"\n")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            if line.endswith(b"\n"):
                wrong.append(Mismatch(ENVIRONMENTS, place, wrong="describes no environment"))
            continue
        known.add(name)
        if not same:
            wrong.append(Mismatch(ENVIRONMENTS, place, wrong="was changed: its hash does not match"))
        elif not unchanged:
            wrong.append(Mismatch(ENVIRONMENTS, place, wrong=REWRITTEN.format("hash")))
    missing = {record.environment for record in used} - known
    wrong += [Mismatch(ENVIRONMENTS, wrong=f"environment {name} of the records is missing") for name in missing]
    return len(known), wrong


def artifacts(folder: Path, used: Sequence[Record]) -> tuple[int, list[Mismatch]]:
    """The number of artifacts of the records, and those that are missing or were changed."""
    wrong: list[Mismatch] = []
    owners: dict[str, Record] = {name: record for record in used for name in record.artifacts}
    for name, record in owners.items():
        file, path = f"{ARTIFACTS}/{name}", folder / ARTIFACTS / name
        place = f"of {record.variant}" + (f", seed {record.seed}" if record.seed is not None else "")
        if not path.is_file():
            problem = "is missing"
        elif name in record.digests and file_digest(path) != record.digests[name]:
            problem = "was changed: its digest does not match its record's"
        else:
            try:
                problem = _disagreement(record, load_arrays(folder, name))
            except UNREADABLE as error:
                problem = f"cannot be read: {error}"
        wrong += [Mismatch(file, place, wrong=problem)] if problem else []
    return len(owners), wrong


def _disagreement(record: Record, arrays: Mapping[str, Any]) -> str:
    """How the predictions of an artifact contradict its record."""
    if "labels" not in arrays or "predictions" not in arrays or "correct" not in record.values:
        return ""
    right = int((arrays["predictions"] == arrays["labels"]).sum())
    recorded = record.values["correct"]
    return f"its predictions are correct {right} times, its record says {recorded}" if right != recorded else ""
