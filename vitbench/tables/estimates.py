"""Generic estimates, for quantities without a reader of their own: raw samples → a value with its 95% interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from vitbench import stats
from vitbench.declare.quantities import Column, Quantity
from vitbench.records.record import Record
from vitbench.tables.comparable import mismatch_reason, source_record
from vitbench.tables.study import Study
from vitbench.tables.timing_units import process_sizes


@dataclass(frozen=True)
class Units:
    """The values averaged for a variant, keyed by what pairs them across variants.

    Attributes:
        numbers: seed → value; for a session, (session, index of the window, block or process) → value; for a scalar,
            one value.
        records: key → the record of that value.
    """

    numbers: Mapping[Any, float]
    records: Mapping[Any, Record]


def estimated(study: Study, quantity: Quantity) -> dict[str, pd.DataFrame]:
    """Column path → frame indexed by variant: ``value``, and for samples ``low, high, n``."""
    columns = {column.path: column for column in quantity.columns}
    found: dict[str, list[dict[str, Any]]] = {path: [] for path in columns}
    for variant in study.variants:
        for path, column in columns.items():
            units = units_of(study, quantity, column, variant.name)
            if units is not None:
                found[path].append({"name": variant.name, **_mean(quantity, column, units)})
    return {path: indexed(rows) for path, rows in found.items()}


def _mean(quantity: Quantity, column: Column, units: Units) -> dict[str, float]:
    """The fields of a cell: ``value``, with its interval unless it is exact."""
    numbers = list(units.numbers.values())
    if quantity.estimate == "scalar":
        return {"value": numbers[0]}  # a whole number stays one
    if column.log:
        return bounds(stats.mean_interval(np.log(numbers)), math.exp)
    return bounds(stats.mean_interval(numbers))


def units_of(study: Study, quantity: Quantity, column: Column, variant: str) -> Units | None:
    """The units of a variant in a column; None without a measurement."""
    records = study.of(quantity.kind, variant) if quantity.estimate == "crossed" else []
    if quantity.estimate != "crossed" and (record := source_record(study, quantity.kind, variant)) is not None:
        records = [record]
    found = {r.seed: (r, _value_at(r, column.path)) for r in sorted(records, key=lambda r: r.seed or 0)}
    known = {seed: (record, value) for seed, (record, value) in found.items() if value is not None and value != []}
    if not known:
        return None
    if quantity.estimate in {"scalar", "crossed"}:
        numbers = {seed: _scaled(value, column) for seed, (_, value) in known.items()}
        return Units(numbers, {seed: record for seed, (record, _) in known.items()})
    ((record, value),) = known.values()
    samples = np.asarray(value, dtype=np.float64) * column.scale
    samples = np.median(samples, axis=1) if quantity.estimate == "blocks" else samples
    means = stats.by_process(samples, process_sizes(record)).tolist()
    keys = [(record.session, number) for number in range(len(means))]
    return Units(dict(zip(keys, means, strict=True)), dict.fromkeys(keys, record))


def _scaled(value: Any, column: Column) -> Any:
    return value if column.scale == 1 else value * column.scale


def _value_at(record: Record, path: str) -> Any:
    """The value at a path in a record, ``values.…`` or ``samples.…``; None if the path is missing."""
    top, *names = path.split(".")
    value: Any = {"values": record.values, "samples": record.samples}[top]
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value.get("values") if top == "samples" and isinstance(value, Mapping) else value


def against_baseline(
    study: Study, quantity: Quantity, column: Column, variant: str
) -> tuple[stats.Interval | None, str]:
    """The ratio or difference between a variant and the baseline with its interval, or None and the reason.

    It is the mean over pairs: common seeds, or windows, blocks or processes of one session. A single pair has no
    interval.
    """
    ours, theirs = (units_of(study, quantity, column, name) for name in (variant, study.baseline))
    if ours is None or theirs is None:
        return None, "not measured"
    keys = [key for key in ours.numbers if key in theirs.numbers]
    if not keys:
        return None, "not compared: measured in different sessions or under different seeds"
    pairs = {(ours.records[key].id, theirs.records[key].id): key for key in keys}.values()
    reasons = (mismatch_reason(study, ours.records[key], theirs.records[key]) for key in pairs)
    if why := next(filter(None, reasons), ""):
        return None, f"not compared: {why}"
    numbers = np.array([(ours.numbers[key], theirs.numbers[key]) for key in keys], dtype=np.float64)
    if quantity.compare == "difference":
        return stats.mean_interval(numbers[:, 0] - numbers[:, 1]), ""
    if numbers.min() <= 0:
        return None, "not compared: a value is not above 0"
    return stats.ratio_interval(np.log(numbers[:, 0] / numbers[:, 1])), ""


def indexed(rows: Iterable[Mapping[Any, Any]]) -> pd.DataFrame:
    """The rows as a frame indexed by ``name``."""
    frame = pd.DataFrame(list(rows))
    return frame.set_index("name") if len(frame) else pd.DataFrame(index=pd.Index([], name="name"))


def bounds(interval: stats.Interval, read: Callable[[float], float] = float) -> dict[str, float]:
    """The fields of an interval; ``read`` converts its numbers to the unit of the table."""
    return {"value": read(interval.value), "low": read(interval.low), "high": read(interval.high), "n": interval.n}
