"""The sections of a grid: main effects and interactions of its axes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from vitbench import plots
from vitbench.plots.effects import REFERENCE
from vitbench.report import cells
from vitbench.report.answer import DECIDED, clauses
from vitbench.report.cells import Cell, Row
from vitbench.report.elements import PLURAL, Columns, Name, Phrase, Section, Table, counted, first, listed, prose, span
from vitbench.report.shown_variants import ROWS
from vitbench.tables.effects import pair_means
from vitbench.tables.grid import Axis, Grid
from vitbench.tables.timing_units import unit_of
from vitbench.utils.format import absent, points, ratio

AXES, LEVELS, LINES, PAIRS = 6, 12, 6, 6
"""The figures show at most so many axes, levels of an axis, lines in a plot, and plots of two axes."""

HEADS = {"accuracy": "Accuracy (points)", "latency_ms": "Latency (ratio)"}
VERDICTS = {"accuracy": "Accuracy verdict", "latency_ms": "Latency verdict"}
COSTS = {
    "train_step_ms": "Training step (ratio)",
    "macs": "MACs (ratio)",
    "params": "Parameters (ratio)",
    "peak_memory_inference_mib": "Memory, inference (ratio)",
    "peak_memory_training_mib": "Memory, training (ratio)",
}
ZERO = {"accuracy": 0.0, "latency_ms": 1.0}
"""Metric → the value of no effect: of a difference, of a ratio."""

Effect: TypeAlias = dict[str, Row]
"""Metric → the row of one effect."""

MAIN = """
    The effect of each level against the axis' reference level (upright stroke), averaged over all settings of the other
    axes with equal weights, with the interval at the level that Holm's procedure tested. Blue marks that point up are
    better or faster, orange marks that point down worse or slower, hollow circles neither."""
LINED = """
    Mean at each level of two axes, averaged over the other axes, with 95% intervals over {n}: parallel lines are no
    interaction. A {unit} moves all marks together, so the intervals may overlap although the table shows an
    interaction."""
MAIN_TABLE = """
    Accuracy as difference and latency as ratio of geometric means, averaged over all settings of the other axes, with
    the interval at the level that Holm's procedure tested over all rows; over {n}."""
COST_TABLE = """
    Ratios of geometric means over all settings of the other axes. MACs and parameters are counted and memory is
    modelled: no interval.{steps}"""
STEPS = " Training step: the interval at the level that Holm's procedure tested over all rows, over {n}."
PAIR_TABLE = """
    How much the effect of the first setting changes with the setting of the second axis: a difference of differences,
    or a ratio of ratios, averaged over the other axes, with the interval at the level that Holm's procedure tested over
    all rows; over {n}."""
PAIRWISE = """
    {some} of {all} cells were measured; the effects are a least-squares fit of main effects and two-way interactions,
    without interactions of three axes."""
ADDITIVE = """
    {some} of {all} cells were measured, too few for all interactions; main effects that would need them are fitted
    without interactions, as their verdicts say. Intervals are about seeds and blocks, not about other cells."""


def sections(grid: Grid, effects: pd.DataFrame) -> Iterator[Section]:
    """Main effects and interactions, where anything was measured.

    Args:
        grid: for the means of the interaction figure, and for the missing cells.
        effects: ``tables.effects.effects`` of it.
    """
    main, pairs = effects[effects["axis_2"].isna()], effects[effects["axis_2"].notna()]
    metrics = [metric for metric in HEADS if _any(main, metric)]
    if metrics:
        yield _main(grid, main, pairs, metrics)
    crossed = [metric for metric in metrics if _any(pairs, metric)]
    if crossed:
        yield _interactions(grid, pairs, crossed)


def _any(effects: pd.DataFrame, metric: str) -> bool:
    return bool(effects.loc[effects["metric"] == metric, "value"].notna().any())


def _main(grid: Grid, main: pd.DataFrame, pairs: pd.DataFrame, metrics: Sequence[str]) -> Section:
    known = {(row["axis"], row["level"], row["metric"]): row for row in main.to_dict("records")}
    rows: list[dict[Any, Any]] = []
    for axis in grid.axes[:AXES]:
        for level, metric in itertools.product(_some(axis, LEVELS), metrics):
            own = known.get((axis.name, axis.levels[level], metric), {"value": ZERO[metric], "kind": REFERENCE})
            setting = {"axis": axis.name, "setting": f"{axis.name}={axis.levels[level]}", "metric": metric}
            rows.append({**own, **setting})
    frame = pd.DataFrame(rows, columns=["axis", "setting", "metric", "value", "low", "high", "kind"])
    labels = {**HEADS, "latency_ms": "Latency (ratio, left is faster)"}
    costs = [metric for metric in COSTS if _any(main, metric)]
    unit = unit_of(grid.study, "latency")
    quantities = " and ".join(HEADS[m].partition(" (")[0].lower() for m in metrics)
    notes = [*_basis(grid, main, metrics), *_missing(grid, metrics), *_left_out(grid, LEVELS, "are shown")]
    tables = [_table("Main effects", main, metrics, MAIN_TABLE.format(n=_units(main, metrics, unit)))]
    return Section(
        name="main_effects",
        title="Main effects",
        caption=" ".join([prose(MAIN), *notes]),
        alt=f"Effect of {frame['setting'].nunique()} settings of {frame['axis'].nunique()} axes on {quantities}, "
        "averaged over the other axes; the table below has the numbers.",
        figure=plots.main_effects(frame, labels={metric: labels[metric] for metric in metrics}),
        tables=[*tables, _cost_table(main, costs, unit)] if costs else tables,
        answer=_answer(grid, main, pairs),
    )


def _interactions(grid: Grid, pairs: pd.DataFrame, metrics: Sequence[str]) -> Section:
    metric, *_ = metrics
    of = list(itertools.combinations(range(min(len(grid.axes), AXES)), 2))[:PAIRS]
    settings = []
    for pair in of:
        other, below = sorted(pair, key=lambda axis: len(grid.axes[axis].levels))
        places = itertools.product(_some(grid.axes[below], LEVELS), _some(grid.axes[other], LINES))
        settings += [{below: at, other: line} for at, line in places]
    means = pair_means(grid, metric, settings)
    timed = unit_of(grid.study, "latency")
    total = math.comb(len(grid.axes), 2)
    caption = prose(LINED).format(
        n=_units(means.assign(metric=metric), [metric], timed), unit="seed" if metric == "accuracy" else timed
    )
    fewer = [f"Shown: {len(of)} of {total} pairs of axes; effects.csv has all."] if len(of) < total else []
    label = "Test accuracy (%)" if metric == "accuracy" else "Latency relative to the baseline"
    return Section(
        name="interactions",
        title="Interactions",
        caption=" ".join([caption, *fewer, *_left_out(grid, LINES, "have a line")]),
        alt=f"{label.partition(' (')[0]} at every two levels of {counted(len(of), 'pair')} of axes, as lines; the "
        "table below has the interactions.",
        figure=plots.interactions(means, label=label, metric=metric),
        tables=[_table("Interactions", pairs, metrics, PAIR_TABLE.format(n=_units(pairs, metrics, timed)), pairs=True)],
    )


def _answer(grid: Grid, main: pd.DataFrame, pairs: pd.DataFrame) -> list[Phrase]:
    """The main effects on accuracy, if any has a verdict, and which axes interact."""
    own = main[main["metric"] == "accuracy"]
    if not own["kind"].isin(DECIDED).any():
        return []
    said: list[Phrase] = []
    for axis in grid.axes[:AXES]:
        levels = own[own["axis"] == axis.name]
        rows: list[dict[Any, Any]] = levels.assign(variant=levels["axis"] + "=" + levels["level"]).to_dict("records")
        if told := clauses(rows, "levels"):
            said.append(("against ", Name(f"{axis.name}={axis.levels[axis.reference]}"), ", ", *listed(told)))
    sentences: list[Phrase] = [
        ("Averaged over all settings of the other axes, in accuracy: ", *listed(said, last="; ", between="; "), "."),
    ]
    found = pairs[(pairs["metric"] == "accuracy") & pairs["kind"].isin(("higher", "lower"))]
    pairs_found = found.drop_duplicates(["axis", "axis_2"]).to_dict("records")
    crossed = [(Name(row["axis"]), " with ", Name(row["axis_2"])) for row in pairs_found]
    if crossed:
        hides = ". The average over one axis then hides what the other does at each of its levels."
        sentences.append(("These axes interact in accuracy: ", *listed(crossed), hides))
    return sentences


def _some(axis: Axis, count: int) -> list[int]:
    """At most ``count`` levels of an axis, the reference among them, in their order."""
    others = [level for level in range(len(axis.levels)) if level != axis.reference]
    return sorted([axis.reference, *others[: count - 1]])


def _left_out(grid: Grid, levels: int, how: str) -> Iterator[str]:
    """What the figure does not show."""
    if len(grid.axes) > AXES:
        yield f"Shown: the first {AXES} of {len(grid.axes)} axes; effects.csv has all."
    if any(len(axis.levels) > levels for axis in grid.axes[:AXES]):
        yield f"Of an axis with more levels {levels} {how}; effects.csv has all."


def _missing(grid: Grid, metrics: Sequence[str]) -> Iterator[str]:
    """The cells without a value, and the interactions that are too many to fit."""
    for metric in metrics:
        who = [cell for cell, own in zip(grid.names, grid.measured(metric).values, strict=True) if np.isnan(own).any()]
        if who:
            quantity = "latency" if metric == "latency_ms" else "accuracy for some seed"
            yield f"{counted(len(who))} of {counted(len(grid.names))} cells lack {quantity}: {', '.join(first(who))}."
    if not grid.cells.pairs_fit:
        total = counted(len(grid.cells.interactions))
        yield f"Interactions are not estimated: {total} would be too many to fit. Use fewer levels."


def _basis(grid: Grid, effects: pd.DataFrame, metrics: Sequence[str]) -> Iterator[str]:
    """How the effects of a grid with missing cells are estimated."""
    for basis, text in (("pairwise", PAIRWISE), ("additive", ADDITIVE)):
        metric = next((m for m in metrics if basis in set(effects["basis"][effects["metric"] == m])), None)
        if metric is not None:
            some = int((~np.isnan(grid.measured(metric).values)).any(axis=1).sum())
            yield prose(text).format(some=counted(some), all=counted(grid.full_size))


def _units(effects: pd.DataFrame, metrics: Sequence[str], unit: str) -> str:
    """``6 seeds and 12 blocks``."""
    said = []
    for metric in metrics:
        counts = effects["n"][(effects["metric"] == metric) & (effects["n"] > 0)]
        one = "seed" if metric == "accuracy" else unit
        said += [f"{span(counts)} {one if set(counts) == {1} else PLURAL[one]}"] if len(counts) else []
    return " and ".join(said)


def _table(title: str, effects: pd.DataFrame, metrics: Sequence[str], caption: str, *, pairs: bool = False) -> Table:
    """Every effect on accuracy and latency, with its verdict."""
    columns = dict(_settings(pairs=pairs))
    for metric in metrics:
        columns |= {HEADS[metric]: partial(_value, metric), VERDICTS[metric]: partial(_judged, metric)}
    return _cut(Table.of(title, _by_effect(effects), columns, caption))


def _cost_table(main: pd.DataFrame, metrics: Sequence[str], unit: str) -> Table:
    """Every main effect on the costs that are counted, modelled or timed apart from the comparison."""
    steps = STEPS.format(n=_units(main, ["train_step_ms"], unit)) if "train_step_ms" in metrics else ""
    columns: Columns = {**_settings(), **{COSTS[metric]: partial(_value, metric) for metric in metrics}}
    return _cut(Table.of("Main effects on costs", _by_effect(main), columns, COST_TABLE.format(steps=steps)))


def _settings(*, pairs: bool = False) -> Columns:
    """Which settings an effect is about."""

    def setting(axis: str, level: str, effect: Effect) -> Cell:
        row = next(iter(effect.values()))
        return cells.name(f"{row[axis]}={row[level]}")

    fields = {"Setting": ("axis", "level"), "Against": ("axis", "against")}
    fields |= {"With": ("axis_2", "level_2"), "Instead of": ("axis_2", "against_2")} if pairs else {}
    return {head: partial(setting, *names) for head, names in fields.items()}


def _by_effect(effects: pd.DataFrame) -> list[Effect]:
    """The effects in order."""
    found: dict[tuple[Any, ...], Effect] = {}
    for row in effects.to_dict("records"):
        key = tuple(str(row[field]) for field in ("axis", "level", "axis_2", "level_2"))
        found.setdefault(key, {})[row["metric"]] = row
    return list(found.values())


def _value(metric: str, effect: Effect) -> Cell:
    row, show = effect.get(metric), points if metric == "accuracy" else ratio
    if row is None or absent(row["value"]):
        return cells.NOTHING
    if row["n"] == 1 and absent(row["p"]) and row["kind"] == "untested":  # counted, not measured
        return Cell(show(row["value"]))
    return cells.estimate(row["value"], row["low"], row["high"], show)


def _judged(metric: str, effect: Effect) -> Cell:
    return cells.judged(effect[metric])


def _cut(table: Table) -> Table:
    """The table without the rows after the first ``ROWS``."""
    if len(table.rows) <= ROWS:
        return table
    note = f"The first {counted(ROWS)} of {counted(len(table.rows))} rows; effects.csv has all."
    return table.with_note(note, rows=ROWS)
