"""The id of a measurement: a hash of everything that determines it."""

from __future__ import annotations

import datetime as dt
import hashlib
import math
import types
from collections.abc import Iterable, Mapping
from typing import Any

from vitbench.declare.serialize import essence
from vitbench.records.codec import dumps

SCHEMA = 1
VERSIONS: Mapping[str, int] = types.MappingProxyType({"models": 1, "data": 1, "train": 1, "measure": 3})
"""Raised by hand when a room's change alters its numbers: ids change with it, and the old records are measured anew.

A config's changed default is such a change, since ids do not cover what is at its default.
"""

IDS = 2
"""How ids are made, as records note it under ``code``; before it was noted, ids covered the defaults too."""


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
