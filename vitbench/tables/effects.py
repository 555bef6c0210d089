"""Main effects and two-way interactions of a grid, with the verdicts that ``stats`` gives them.

Accuracy in differences, seed by seed. Timings in ratios, block by block, and so is what is counted or modelled: costs
multiply, so that a ratio says what depth does at every width where a difference would say it of one.
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
from vitbench.tables.timing_units import FIXED_LEVEL, level_of, process_sizes, unit, watched

NAMES = {
    "accuracy": "accuracy_delta",
    "latency_ms": "latency_ratio",
    "train_step_ms": "train_step_ratio",
    "params": "params_ratio",
    "macs": "macs_ratio",
    "peak_memory_inference_mib": "peak_memory_inference_ratio",
    "peak_memory_training_mib": "peak_memory_training_ratio",
}
"""Metric → its column in ``effects.csv``: a difference is a fraction, a ratio has no unit."""

ALONE = "(fitted without interactions)"

KEYS = ("axis", "level", "against", "axis_2", "level_2", "against_2")
FIELDS = (*KEYS, "metric", "value", "low", "high", "confidence", "n", "p", "sign_flip_p", "kind", "verdict", "basis")
MEANS = ("axis", "level", "axis_2", "level_2", "value", "low", "high", "n")
LEVEL = 0.95
EXACT = 9
"""Decimals of a ratio of counts that are not the rounding of its logarithm."""

NOTHING = stats.Interval(math.nan, math.nan, math.nan, LEVEL, 0)


@dataclass(frozen=True)
class Crossed:
    """A study's grid, and every effect in it."""

    grid: Grid
    effects: pd.DataFrame


def crossed(study: Study) -> Crossed | None:
    """The grid that a study is, with its effects; None where it is none."""
    grid = grid_of(study)
    return None if grid is None else Crossed(grid, effects(grid))


def effects(grid: Grid) -> pd.DataFrame:
    """Every main effect and every interaction of two axes, in every metric.

    The main effects in one metric are a family, the interactions in it another; Holm decides within each.

    Returns:
        One row a metric and effect, columns ``FIELDS``: a level against the reference level; of an interaction by how
        much that is another with ``level_2`` than with ``against_2``, of a main effect these are missing.
        ``confidence`` is the level of the interval, ``basis`` that of ``stats.effects``.
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
    """What ``effects.csv`` holds: one row an effect, main effects first; columns are named as in ``table.csv``."""
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
    """Accuracy, or a timing as a ratio to the baseline's, at levels of two axes, averaged over the others.

    Args:
        grid: of the cells.
        metric: one of ``SAMPLED``.
        settings: two axes of the grid by number, each with the number of its level.

    Returns:
        One row a setting, columns ``MEANS``: the mean over units with its t interval, missing where left open.
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
    """The columns ``KEYS`` of an effect."""
    found: list[str | None] = []
    for at, level in term:
        axis = grid.axes[at]
        found += [axis.name, axis.levels[level], axis.levels[axis.reference]]
    return found + [None] * (len(KEYS) - len(found))


def _tested(grid: Grid, metric: str, found: Sequence[Effect], missing: dict[int, str]) -> list[stats.Comparison]:
    """One family: the verdicts on effects in a metric that scatters."""
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
    if control is None or not watched(control):
        return False
    return stats.drifts(effect.units, stats.block_midpoints(control.values["block_seconds"]), process_sizes(control))


def _worded(judged: stats.Comparison, measured: Measured, effect: Effect) -> stats.Comparison:
    """The verdict on a comparison of two variants in the words of an effect."""
    verdict = judged.verdict
    if verdict.kind == "not_measured" and not measured.missing:
        verdict = replace(verdict, text=verdict.text.replace("not measured", "not estimable", 1))
    elif verdict.kind == "untested" and measured.control is not None and judged.value == 1:
        verdict = replace(verdict, text="no difference: the same work, timed once for all")
    if effect.basis == "additive":
        verdict = replace(verdict, text=f"{verdict.text} {ALONE}")
    return replace(judged, verdict=verdict)


def _exact(metric: str, effect: Effect, missing: str) -> stats.Comparison:
    """An effect on what has no spread: the ratio as it is."""
    how = "counted" if COUNTED[metric][0] == "cost" else "modelled"
    fitted = {"pairwise": "; fitted, since cells are missing", "additive": f" {ALONE}"}.get(effect.basis, "")
    verdict = stats.Verdict("untested", f"no interval: {how}, not measured{fitted}")
    if missing:
        verdict = stats.Verdict("not_measured", f"not estimable: {missing}")
    nan = math.nan
    value = nan if missing else round(math.exp(effect.units[0]), EXACT)
    return stats.Comparison(value, nan, nan, nan, nan, nan, len(effect.units), verdict)


def _why_missing(grid: Grid, measured: Measured, effect: Effect) -> str:
    """Why an effect cannot be told from what was measured."""
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
