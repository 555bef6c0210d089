"""The part of a report that a grid has: what each axis does on average over the others, and which axes interact."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from vitbench import plots
from vitbench.plots.effects import REFERENCE
from vitbench.report.effect_sentences import AXES, NOTHING, WHERE, averaged, in_short, interacting, lacking, unfitted
from vitbench.report.effect_tables import COSTS, HEADS, cost_grid, main_grid, pair_grid, units
from vitbench.report.phrases import counted
from vitbench.report.section import Picture, prose
from vitbench.tables.effects import pair_means
from vitbench.tables.factorial import Axis, Grid
from vitbench.tables.timings import unit_of

LABELS = {"accuracy": "Test accuracy (%)", "latency_ms": "Latency relative to the baseline"}
LEVELS, LINES, PAIRS = 12, 6, 6
"""What figures show at most: levels of an axis, lines in a picture, and pictures."""

MAIN = """
    A row is a level of an axis, and what it does against the level with the upright stroke, averaged over all settings
    of the other axes with equal weights: accuracy in differences, seed by seed, latency in ratios, block by block. Bars
    are the intervals at the level that Holm tested over all main effects in that quantity. Filled with a point up
    (blue): better or faster; filled with a point down (orange): worse or slower; a hollow circle: neither is shown."""
LINED = """
    A mark is the mean at one level of each of the two axes, averaged over all settings of the others. Parallel lines
    are no interaction: what one axis does is then the same at every level of the other. Bars are 95% intervals over
    {n}. A {unit} moves all marks together, so that bars may overlap although the lines are shown not to be parallel:
    the verdicts in the table compare within each."""
PAIRWISE = """
    {some} of {all} cells were measured: effects are those of a least-squares fit of main effects and two-way
    interactions to them, which takes it that no three axes interact."""
ADDITIVE = """
    {some} of {all} cells were measured, too few to tell all interactions: main effects that would need those are fitted
    without any, and say so. Their intervals speak of seeds and blocks, not of another draw of cells."""


def draw(grid: Grid, found: pd.DataFrame) -> Iterator[Picture]:
    """Main effects and interactions, where anything was measured.

    Args:
        grid: for the means behind the lines, and for the cells that are missing.
        found: ``tables.effects.effects`` of it.
    """
    main, pairs = found[found["axis_2"].isna()], found[found["axis_2"].notna()]
    metrics = [metric for metric in HEADS if _any(main, metric)]
    if metrics:
        yield _main(grid, main, pairs, metrics)
    crossed = [metric for metric in metrics if _any(pairs, metric)]
    if crossed:
        yield _interactions(grid, pairs, crossed)


def _any(found: pd.DataFrame, metric: str) -> bool:
    return bool(found.loc[found["metric"] == metric, "value"].notna().any())


def _main(grid: Grid, main: pd.DataFrame, pairs: pd.DataFrame, metrics: Sequence[str]) -> Picture:
    known = {(row["axis"], row["level"], row["metric"]): row for row in main.to_dict("records")}
    rows: list[dict[Any, Any]] = []
    for axis in grid.axes[:AXES]:
        for level, metric in itertools.product(_some(axis, LEVELS), metrics):
            own = known.get((axis.name, axis.levels[level], metric), {"value": NOTHING[metric], "kind": REFERENCE})
            setting = {"axis": axis.name, "setting": f"{axis.name}={axis.levels[level]}", "metric": metric}
            rows.append({**own, **setting})
    frame = pd.DataFrame(rows, columns=["axis", "setting", "metric", "value", "low", "high", "kind"])
    labels = {**HEADS, "latency_ms": "Latency (ratio, left is faster)"}
    costs = [metric for metric in COSTS if _any(main, metric)]
    unit = unit_of(grid.study, "latency")
    return Picture(
        name="main_effects",
        title="Main effects",
        caption=" ".join([prose(MAIN), *_basis(grid, main, metrics), *_left_out(grid, LEVELS, "are shown")]),
        alt=f"What {frame['setting'].nunique()} settings of {frame['axis'].nunique()} axes do "
        f"{' and '.join(WHERE[m] for m in metrics)}, averaged over the other axes; the table below has the numbers.",
        figure=plots.main_effects(frame, labels={metric: labels[metric] for metric in metrics}),
        words=[
            *(said for metric in metrics for said in (*lacking(grid, metric), *averaged(grid, main, metric))),
            *unfitted(grid),
        ],
        grids=[main_grid(main, metrics, unit=unit), *([cost_grid(main, costs, unit=unit)] if costs else [])],
        answer=in_short(grid, main, pairs),
    )


def _interactions(grid: Grid, pairs: pd.DataFrame, metrics: Sequence[str]) -> Picture:
    metric, *_ = metrics
    of = list(itertools.combinations(range(min(len(grid.axes), AXES)), 2))[:PAIRS]
    settings = []
    for pair in of:
        other, below = sorted(pair, key=lambda axis: len(grid.axes[axis].levels))
        places = itertools.product(_some(grid.axes[below], LEVELS), _some(grid.axes[other], LINES))
        settings += [{below: at, other: line} for at, line in places]
    means = pair_means(grid, metric, settings)
    unit = unit_of(grid.study, "latency")
    over = units(means.assign(metric=metric), [metric], unit)
    total = math.comb(len(grid.axes), 2)
    many = f"{len(of)} pair{'s' * (len(of) > 1)}"
    fewer = [f"Shown: {len(of)} of {total} pairs of axes; effects.csv has all."] if len(of) < total else []
    what, unit = ("accuracy", "seed") if metric == "accuracy" else ("latency", unit)
    return Picture(
        name="interactions",
        title="Interactions",
        caption=" ".join([prose(LINED).format(n=over, unit=unit), *fewer, *_left_out(grid, LINES, "have a line")]),
        alt=f"Mean {what} at every two levels of {many} of axes, as lines; the table below has the interactions.",
        figure=plots.interactions(means, label=LABELS[metric], metric=metric),
        words=[said for own in metrics for said in interacting(pairs, own)],
        grids=[pair_grid(pairs, metrics, unit=unit_of(grid.study, "latency"))],
    )


def _some(axis: Axis, count: int) -> list[int]:
    """So many levels of an axis, the reference among them, in their order."""
    others = [level for level in range(len(axis.levels)) if level != axis.reference]
    return sorted([axis.reference, *others[: count - 1]])


def _left_out(grid: Grid, levels: int, how: str) -> Iterator[str]:
    if len(grid.axes) > AXES:
        yield f"Shown: {AXES} of {len(grid.axes)} axes, the first of the plan; effects.csv has all."
    if any(len(axis.levels) > levels for axis in grid.axes[:AXES]):
        yield f"Of an axis with more levels {levels} {how}; effects.csv has all."


def _basis(grid: Grid, found: pd.DataFrame, metrics: Sequence[str]) -> Iterator[str]:
    """What the estimates of a grid with cells missing rest on."""
    for basis, text in (("pairwise", PAIRWISE), ("additive", ADDITIVE)):
        metric = next((m for m in metrics if basis in set(found["basis"][found["metric"] == m])), None)
        if metric is not None:
            some = int((~np.isnan(grid.measured(metric).values)).any(axis=1).sum())
            yield prose(text).format(some=counted(some), all=counted(grid.whole))
