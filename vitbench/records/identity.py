"""The id of a measurement: a hash of everything that determines it."""

from __future__ import annotations

import datetime as dt
import hashlib
import math
import types
from collections.abc import Iterable, Mapping
from typing import Any

from vitbench.declare.serialize import non_default_fields
from vitbench.records.codec import dumps

SCHEMA = 2
VERSIONS: Mapping[str, int] = types.MappingProxyType({"models": 1, "data": 1, "train": 1, "measure": 3})
"""Versions of the components. Raise one by hand when a change to that component alters its numbers.

The ids of its measurements then change, and everything is measured again. A changed default of a config is such a
change, because ids leave out settings that have their default.
"""


def now() -> str:
    """The current time as records write it: UTC, ISO 8601, milliseconds."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")


def plain(value: Any) -> Any:
    """The value as JSON stores it: tuples and arrays become lists; NaN and infinity, which JSON lacks, become null."""
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
    """A hash of the content. The order of keys, tuple or list, and 4 or 4.0 make no difference."""

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
    components: Iterable[str],
    data: Mapping[str, Any] | None = None,
    train: Mapping[str, Any] | None = None,
    seed: int | None = None,
    settings: Mapping[str, Any] | None = None,
    session: str | None = None,
) -> str:
    """The id of a measurement: a hash of all that determines it, and of nothing else (no commit, no variant's name).

    Fields that have their default are left out, so that a new option that is off by default changes no id.

    Args:
        kind: of the record.
        config: the model's.
        components: the parts of vitbench whose ``VERSIONS`` are covered.
        data: name and version of the data set, and how much of it is used, for what is trained.
        train: the recipe, for what is trained.
        seed: of the trial.
        settings: of the measurement: device, and fields of ``MeasureConfig`` that matter.
        session: of a joint timing.
    """
    return digest(
        {
            "kind": kind,
            "config": None if config is None else non_default_fields(config),
            "versions": {name: VERSIONS[name] for name in components},
            "data": None if data is None else non_default_fields({**data, "type": "DataConfig"}),
            "train": None if train is None else non_default_fields(train),
            "seed": seed,
            "settings": None if settings is None else non_default_fields({**settings, "type": "MeasureConfig"}),
            "session": session,
        }
    )
