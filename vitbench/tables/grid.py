"""The grid of a study: its axes, its cells, and the measured values of each cell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitbench import stats
from vitbench.declare.variant import format_axes, format_value
from vitbench.records.record import Record
from vitbench.stats.effects import Factorial
from vitbench.tables.comparable import mismatch_reason, seed_records, source_record
from vitbench.tables.compare import CONTROL_LEVEL, TIMED
from vitbench.tables.planned import Planned
from vitbench.tables.study import Study
from vitbench.tables.timing_units import blocks, process_sizes

RANDOM = "random"
DESIGNS = ("grid", RANDOM)
SAMPLED = ("accuracy", *TIMED)
COUNTED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "params": ("cost", ("params",)),
    "macs": ("cost", ("macs",)),
    "peak_memory_inference_mib": ("memory", ("inference", "bytes")),
    "peak_memory_training_mib": ("memory", ("training", "bytes")),
}
"""Column of the table → kind of its record, and the path in the record's values."""


@dataclass(frozen=True)
class Axis:
    """An axis of the grid.

    Attributes:
        name: name of the axis.
        levels: its levels in declared order, formatted as in variant names.
        reference: index of the level to compare with: the baseline's, or the first if the baseline is not a cell.
    """

    name: str
    levels: Sequence[str]
    reference: int


@dataclass(frozen=True)
class Measured:
    """The measured values of one metric.

    Attributes:
        values: (cells, units), NaN if missing: accuracies by seed, log-ratios to the baseline by block, or the
            logarithm of a count.
        missing: the reason if no cell has a value.
        control: for a timing, the record of the baseline's clone.
        sizes: for a timing in several processes, the number of blocks of each.
        holds: whether the A/A control passed.
    """

    values: NDArray[np.float64]
    missing: str = ""
    control: Record | None = None
    sizes: Sequence[int] | None = None
    holds: bool = True


@dataclass(frozen=True)
class Grid:
    """The cells of a full or randomly sampled grid of two or more axes.

    Attributes:
        study: the study the grid belongs to.
        axes: the axes with more than one level.
        names: the variants that are cells.
        cells: level indices of each variant.
    """

    study: Study
    axes: Sequence[Axis]
    names: Sequence[str]
    cells: Factorial
    _known: dict[str, Measured] = field(default_factory=dict, repr=False)
    _records: dict[str, list[Record | None]] = field(default_factory=dict, repr=False)

    @property
    def sampled(self) -> bool:
        """Whether its cells are a random sample of the full grid."""
        return self.study.plan.get("design") == RANDOM

    @property
    def full_size(self) -> int:
        """The number of cells of the full grid."""
        return math.prod(self.cells.sizes)

    def measured(self, metric: str) -> Measured:
        """The values of a metric for every cell and unit; cached."""
        if metric not in self._known:
            how = _timed if metric in TIMED else _counted if metric in COUNTED else _scored
            self._known[metric] = how(self, metric)
        return self._known[metric]

    def records(self, kind: str) -> list[Record | None]:
        """The record of every cell; None if missing or not comparable with the baseline's. Cached."""
        if kind not in self._records:
            comparable, base = _Comparable(self.study), source_record(self.study, kind, self.study.baseline)
            own = (source_record(self.study, kind, name) for name in self.names)
            self._records[kind] = [r if r is None or base is None or comparable(r, base) else None for r in own]
        return self._records[kind]


def grid_of(study: Study) -> Grid | None:
    """The grid of a study; None if the study is not a grid of two or more axes."""
    if study.plan.get("design") not in DESIGNS:
        return None
    base = next(v for v in study.variants if v.is_baseline)
    rows = [v for v in study.variants if _is_cell(v)]
    axes, places = [], []
    for name, declared in (study.plan.get("axes") or {}).items():
        there = {_key(v.axes[name]) for v in rows}
        values = [value for value in declared if _key(value) in there]
        if len(values) > 1:
            place = {_key(value): at for at, value in enumerate(values)}
            levels = [format_value(_hashable(value)) for value in values]
            axes.append(Axis(name, levels, place.get(_key(base.axes.get(name)), 0)))
            places.append(place)
    if len(axes) < 2:
        return None
    found: dict[tuple[int, ...], str] = {}
    for v in rows:
        levels_of = [place.get(_key(v.axes[axis.name])) for axis, place in zip(axes, places, strict=True)]
        if None not in levels_of:  # a baseline outside the grid has a value that no axis declares
            found.setdefault(tuple(level for level in levels_of if level is not None), v.name)
    sizes, reference = tuple(len(axis.levels) for axis in axes), tuple(axis.reference for axis in axes)
    return Grid(study, axes, list(found.values()), Factorial(sizes, reference, np.array(list(found), dtype=np.intp)))


def _is_cell(v: Planned) -> bool:
    """Whether a variant is a cell: neither a reference, nor merged from another folder, nor custom-named."""
    named = {axis: _hashable(value) for axis, value in v.axes.items() if f"{axis}=" in v.name}
    return not v.is_reference and not v.origin and (v.is_baseline or v.name == format_axes(named))


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _key(value: Any) -> Any:
    """A key that distinguishes the values of an axis: 4 and 4.0 are equal, 1 and True are not."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else repr(value)


class _Comparable:
    """Whether a cell's record is comparable with the reference's; cached per environment and settings."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._known: dict[tuple[Any, ...], bool] = {}

    def __call__(self, record: Record, reference: Record) -> bool:
        key = tuple(
            (r.environment, id(r.code), str(r.values.get("placement")), *(r.values.get("methods") or ()))
            for r in (record, reference)
        )
        if key not in self._known:
            self._known[key] = not mismatch_reason(self._study, record, reference)
        return self._known[key]


def _scored(grid: Grid, _: str) -> Measured:
    """The accuracies of the grid, (cells, seeds)."""
    comparable = _Comparable(grid.study)
    base = grid.study.baseline
    own = {name: seed_records(grid.study, name) for name in dict.fromkeys((base, *grid.names))}
    seeds = sorted({seed for records in own.values() for seed in records})
    first = {seed: next(records[seed] for records in own.values() if seed in records) for seed in seeds}
    found = np.full((len(grid.names), max(len(seeds), 1)), np.nan)
    for row, name in enumerate(grid.names):
        for column, seed in enumerate(seeds):
            record = own[name].get(seed)
            if record is not None and comparable(record, first[seed]):
                found[row, column] = record.values["accuracy"]
    return Measured(found, "" if seeds else "no cell has an accuracy yet")


def _counted(grid: Grid, metric: str) -> Measured:
    """The logarithms of a count, (cells, 1)."""
    kind, path = COUNTED[metric]
    found = np.full((len(grid.names), 1), np.nan)
    for row, record in enumerate(grid.records(kind)):
        value: Any = {} if record is None else record.values
        for part in path:
            value = (value or {}).get(part)
        found[row] = math.log(value) if value else math.nan
    return Measured(found, "" if not np.isnan(found).all() else "nothing has been counted yet")


def _timed(grid: Grid, metric: str) -> Measured:
    """The log-ratios to the baseline, (cells, blocks).

    Uses one session only, because blocks of different sessions are not paired.
    """
    kind, base = TIMED[metric], grid.study.baseline
    nothing = np.full((len(grid.names), 1), np.nan)
    session = next((s for s in grid.study.sessions(kind) if base in s), None)
    if session is None:
        return Measured(nothing, "no cell was timed in one session with the baseline yet")
    control = grid.study.control(kind, session[base].session)
    if control is None:
        return Measured(nothing, "the session has no A/A control")
    comparable = _Comparable(grid.study)
    walls, sizes = blocks(session[base]), process_sizes(session[base])
    found = np.full((len(grid.names), len(walls)), np.nan)
    for row, name in enumerate(grid.names):
        if name in session and comparable(session[name], session[base]):
            found[row] = stats.log_ratio_blocks(blocks(session[name]), walls)
    seen = stats.by_process(stats.log_ratio_blocks(blocks(control), walls), sizes)
    return Measured(found, "", control, sizes, stats.control_holds(seen, CONTROL_LEVEL))
