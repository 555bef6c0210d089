"""Main effects and two-way interactions of a grid, with verdicts.

Effects on accuracy are differences, paired by seed. Effects on timings are ratios, paired by block, and so are effects
on counted or modelled costs. Costs multiply, so a ratio describes the effect of depth at every width; a difference
would hold at one width only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from vitbench import stats
from vitbench.records.record import Record
from vitbench.stats.effects import LARGEST, Effect, Term
from vitbench.tables.compare import settings_of
from vitbench.tables.grid import COUNTED, SAMPLED, Grid, Measured, grid_of
from vitbench.tables.study import Study
from vitbench.tables.timing_units import FIXED_LEVEL, level_of, process_sizes, unit

NAMES = {
    "accuracy": "accuracy_delta",
    "latency_ms": "latency_ratio",
    "train_step_ms": "train_step_ratio",
    "params": "params_ratio",
    "macs": "macs_ratio",
    "peak_memory_inference_mib": "peak_memory_inference_ratio",
    "peak_memory_training_mib": "peak_memory_training_ratio",
}
"""Metric → column in ``effects.csv``; differences are fractions, ratios have no unit."""

ALONE = "(fitted without interactions)"

KEYS = ("axis", "level", "against", "axis_2", "level_2", "against_2")
FIELDS = (*KEYS, "metric", "value", "low", "high", "confidence", "n", "p", "sign_flip_p", "kind", "verdict", "basis")
MEANS = ("axis", "level", "axis_2", "level_2", "value", "low", "high", "n")
LEVEL = 0.95
EXACT = 9
"""Decimals of a ratio of counts; further ones are rounding errors of its logarithm."""

NOTHING = stats.Interval(math.nan, math.nan, math.nan, LEVEL, 0)


@dataclass(frozen=True)
class Crossed:
    """A study's grid and its effects, as a frame with columns ``FIELDS``."""

    grid: Grid
    effects: pd.DataFrame


def crossed(study: Study) -> Crossed | None:
    """The grid of a study with its effects; None if the study is not a grid."""
    grid = grid_of(study)
    return None if grid is None else Crossed(grid, effects(grid))


def effects(grid: Grid) -> pd.DataFrame:
    """Every main effect and every interaction of two axes, in every metric.

    Holm corrects the main effects of a metric as one family, and its interactions as another.

    Returns:
        One row per metric and effect, columns ``FIELDS``. ``value``: the effect of ``level`` against ``against``; for
        an interaction, how much the effect changes between ``against_2`` and ``level_2``; empty for main effects.
        ``confidence``: the level of the interval. ``basis``: as in ``stats.effects``.
    """
    rows: list[tuple[Any, ...]] = []
    for metric in (*SAMPLED, *COUNTED):
        measured = grid.measured(metric)
        for terms in (grid.cells.mains, grid.cells.interactions if grid.cells.pairs_fit else []):
            found = grid.cells.effects(measured.values, terms, sampled=grid.sampled)
            missing = {at: _why_missing(grid, measured, e) for at, e in enumerate(found) if e.basis == "none"}
            if metric in COUNTED:
                judged = [_exact(metric, effect, missing.get(at, "")) for at, effect in enumerate(found)]
            else:
                judged = _tested(grid, metric, found, missing)
            for effect, c in zip(found, judged, strict=True):
                confidence = c.level if c.n > 1 else math.nan
                numbers = c.value, c.low, c.high, confidence, c.n, c.p, c.sign_flip_p, c.verdict.kind, c.verdict.text
                rows.append((*_keys(grid, effect.term), metric, *numbers, effect.basis))
    return pd.DataFrame(rows, columns=list(FIELDS))


def wide(found: pd.DataFrame) -> pd.DataFrame:
    """The contents of ``effects.csv``: one row per effect, main effects first, with column names of ``table.csv``."""
    parts = []
    for interactions in (False, True):
        own = found[found["axis_2"].notna() == interactions]
        columns: dict[str, Any] = {}
        for metric, rows in own.groupby("metric", sort=False):
            name, cells = NAMES[str(metric)], rows.reset_index(drop=True)
            columns = columns or {key: cells[key] for key in KEYS}
            columns[name] = cells["value"]
            if metric in SAMPLED:
                columns |= {f"{name}_{field}": cells[field] for field in ("low", "high")}
                columns |= {f"{name}_level": cells["confidence"], f"{name}_n": cells["n"]}
            columns |= {f"{name}_{field}": cells[field] for field in ("verdict", "basis")}
        parts.append(pd.DataFrame(columns))
    main, pairs = parts
    return pd.concat([main, pairs], ignore_index=True) if len(pairs) else main


def pair_means(grid: Grid, metric: str, settings: Sequence[Mapping[int, int]]) -> pd.DataFrame:
    """Mean accuracy, or mean timing ratio to the baseline, at given levels of two axes, averaged over the other axes.

    Args:
        grid: the grid with the cells.
        metric: one of ``SAMPLED``.
        settings: per row, index of an axis → index of its level, for two axes.

    Returns:
        One row per setting, columns ``MEANS``: the mean over units with its t interval; NaN if missing cells leave
        it undetermined.
    """
    measured, how = grid.measured(metric), settings_of(grid.study, metric)
    rows: list[tuple[Any, ...]] = []
    for at, units in zip(settings, grid.cells.means(measured.values, settings), strict=True):
        known = stats.by_process(units, measured.sizes)
        known = known[~pd.isna(known)]
        where = [name for axis, level in at.items() for name in (grid.axes[axis].name, grid.axes[axis].levels[level])]
        mean = stats.mean_interval(known, LEVEL) if len(known) else NOTHING
        rows.append((*where, *(how.value(number) for number in (mean.value, mean.low, mean.high)), mean.n))
    found = pd.DataFrame(rows, columns=list(MEANS))
    return found if how.log_ratio else found.assign(low=found["low"].clip(lower=0), high=found["high"].clip(upper=1))


def _keys(grid: Grid, term: Term) -> list[str | None]:
    """The values of the columns ``KEYS`` for an effect."""
    found: list[str | None] = []
    for at, level in term:
        axis = grid.axes[at]
        found += [axis.name, axis.levels[level], axis.levels[axis.reference]]
    return found + [None] * (len(KEYS) - len(found))


def _tested(grid: Grid, metric: str, found: Sequence[Effect], missing: dict[int, str]) -> list[stats.Comparison]:
    """The comparisons of all effects in a sampled metric, tested as one Holm family."""
    measured, how = grid.measured(metric), settings_of(grid.study, metric)
    if any(len(effect.term) == 2 for effect in found):
        how = replace(how, lower_kind="lower", higher_kind="higher", alike="negligible", nothing="no interaction found")
    control = measured.control
    alpha = round(1 - (FIXED_LEVEL if control is None else level_of(control)), 6)
    if control is not None:
        how = replace(how, unit=unit(control))
    units = {str(at): stats.by_process(e.units, measured.sizes) for at, e in enumerate(found) if at not in missing}
    judged = stats.compare_with_holm(
        units,
        how,
        alpha=alpha,
        valid=measured.holds,
        unstable={name for name in units if _drifts(found[int(name)], control)},
        missing={str(at): why for at, why in missing.items()},
    )
    return [_worded(judged[str(at)], measured, effect) for at, effect in enumerate(found)]


def _drifts(effect: Effect, control: Record | None) -> bool:
    if control is None:
        return False
    return stats.drifts(effect.units, stats.block_midpoints(control.values["block_seconds"]), process_sizes(control))


def _worded(judged: stats.Comparison, measured: Measured, effect: Effect) -> stats.Comparison:
    """The comparison with its verdict reworded as a statement about an effect."""
    verdict = judged.verdict
    if verdict.kind == "not_measured" and not measured.missing:
        verdict = replace(verdict, text=verdict.text.replace("not measured", "not estimable", 1))
    elif verdict.kind == "untested" and measured.control is not None and judged.value == 1:
        verdict = replace(verdict, text="no difference: the same work, timed once for all")
    if effect.basis == "additive":
        verdict = replace(verdict, text=f"{verdict.text} {ALONE}")
    return replace(judged, verdict=verdict)


def _exact(metric: str, effect: Effect, missing: str) -> stats.Comparison:
    """The comparison for an exact effect on a deterministic quantity."""
    how = "counted" if COUNTED[metric][0] == "cost" else "modelled"
    fitted = {"pairwise": "; fitted, since cells are missing", "additive": f" {ALONE}"}.get(effect.basis, "")
    verdict = stats.Verdict("untested", f"no interval: {how}, not measured{fitted}")
    if missing:
        verdict = stats.Verdict("not_measured", f"not estimable: {missing}")
    nan = math.nan
    value = nan if missing else round(math.exp(effect.units[0]), EXACT)
    return stats.Comparison(value, nan, nan, nan, nan, nan, len(effect.units), verdict)


def _why_missing(grid: Grid, measured: Measured, effect: Effect) -> str:
    """The reason why the measurements do not determine an effect."""
    if measured.missing:
        return measured.missing
    there = grid.cells.cells[~pd.isna(measured.values).all(axis=1)]
    for at, level in effect.term:
        axis = grid.axes[at]
        for wanted in (level, axis.reference):
            if not (there[:, at] == wanted).any():
                return f"no cell with {axis.name}={axis.levels[wanted]} was measured"
    if not grid.cells.pairs_fit and not grid.sampled:
        return f"cells are missing, and a fit to the others would have over {LARGEST} terms"
    return "the cells that are missing leave it open"
