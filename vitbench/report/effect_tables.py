"""The tables of main effects and interactions, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from vitbench.report import shown_variants
from vitbench.report.phrases import counted, span
from vitbench.report.text_tables import PLURAL, Cell, Grid, bracket, make, tone
from vitbench.utils.format import MISSING, absent, points, ratio

HEADS = {"accuracy": "Accuracy (points)", "latency_ms": "Latency (ratio)"}
COSTS = {
    "train_step_ms": "Training step (ratio)",
    "macs": "MACs (ratio)",
    "params": "Parameters (ratio)",
    "peak_memory_inference_mib": "Memory, inference (ratio)",
    "peak_memory_training_mib": "Memory, training (ratio)",
}

MAIN = """
    What a setting does against another one of its axis, averaged over all settings of the other axes with equal
    weights: accuracy in differences, latency in ratios of geometric means, each with the interval at the level that
    Holm tested over all rows; over {n}."""
COSTED = """
    Ratios of geometric means over all settings of the other axes. MACs and parameters are counted and memory is
    modelled: no interval."""
STEPS = " Training step: in brackets the interval at the level that Holm tested over all rows, over {n}."
PAIRS = """
    By how much the effect of a setting is another with the one setting than with the other: a difference of
    differences, or a ratio of ratios, averaged over all settings of the other axes, with the interval at the level that
    Holm tested over all rows; over {n}."""

MAIN_KEYS = {"Setting": ("axis", "level"), "Against": ("axis", "against")}
PAIR_KEYS = {**MAIN_KEYS, "With": ("axis_2", "level_2"), "Instead of": ("axis_2", "against_2")}

Row = Mapping[Any, Any]


def main_grid(main: pd.DataFrame, metrics: Sequence[str], *, unit: str) -> Grid:
    """Every main effect in accuracy and latency, with its verdict; ``unit`` is that of a timing."""
    caption = MAIN.format(n=units(main, metrics, unit))
    return _cut(make("Main effects", *_judged(main, metrics, MAIN_KEYS), caption))


def pair_grid(pairs: pd.DataFrame, metrics: Sequence[str], *, unit: str) -> Grid:
    """Every interaction of two axes in accuracy and latency, with its verdict."""
    caption = PAIRS.format(n=units(pairs, metrics, unit))
    return _cut(make("Interactions", *_judged(pairs, metrics, PAIR_KEYS), caption))


def cost_grid(main: pd.DataFrame, metrics: Sequence[str], *, unit: str) -> Grid:
    """Every main effect on what is counted, modelled or timed apart from the comparison."""
    rows = [[*_named(own, MAIN_KEYS), *(_value(own.get(metric)) for metric in metrics)] for own in _by_effect(main)]
    steps = STEPS.format(n=units(main, ["train_step_ms"], unit)) if "train_step_ms" in metrics else ""
    heads = [*MAIN_KEYS, *(COSTS[metric] for metric in metrics)]
    return _cut(make("Main effects on costs", heads, rows, COSTED + steps))


def units(found: pd.DataFrame, metrics: Sequence[str], unit: str) -> str:
    """``6 seeds and 12 blocks``."""
    said = []
    for metric in metrics:
        counts = found["n"][(found["metric"] == metric) & (found["n"] > 0)]
        what = PLURAL["seed" if metric == "accuracy" else unit]
        said += [f"{span(counts)} {what if set(counts) != {1} else what.removesuffix('s')}"] if len(counts) else []
    return " and ".join(said)


def _judged(
    found: pd.DataFrame, metrics: Sequence[str], keys: Mapping[str, tuple[str, str]]
) -> tuple[list[str], list[list[Cell]]]:
    """Headings and rows."""
    rows = []
    for own in _by_effect(found):
        cells = [
            cell
            for metric in metrics
            for row in [own[metric]]
            for cell in (_value(row), Cell(row["verdict"], tone=tone(row["kind"])))
        ]
        rows.append([*_named(own, keys), *cells])
    return [*keys, *(head for metric in metrics for head in (HEADS[metric], "Verdict"))], rows


def _by_effect(found: pd.DataFrame) -> list[dict[str, Row]]:
    """Metric → row, of every effect in turn."""
    effects: dict[tuple[Any, ...], dict[str, Row]] = {}
    for row in found.to_dict("records"):
        key = tuple(str(row[name]) for name in ("axis", "level", "axis_2", "level_2"))
        effects.setdefault(key, {})[row["metric"]] = row
    return list(effects.values())


def _named(own: Mapping[str, Row], keys: Mapping[str, tuple[str, str]]) -> list[Cell]:
    row = next(iter(own.values()))
    return [Cell(f"{row[axis]}={row[level]}", name=True) for axis, level in keys.values()]


def _value(row: Row | None) -> Cell:
    if row is None or absent(row["value"]):
        return Cell(MISSING)
    show = points if row["metric"] == "accuracy" else ratio
    counted_one = row["n"] == 1 and absent(row["p"]) and row["kind"] == "untested"
    return Cell(show(row["value"]), "" if counted_one else bracket(row["low"], row["high"], show))


def _cut(grid: Grid) -> Grid:
    """Of very many effects the first."""
    if len(grid.rows) <= shown_variants.ROWS:
        return grid
    note = f" The first {counted(shown_variants.ROWS)} of {counted(len(grid.rows))} rows; effects.csv has all."
    return Grid(grid.title, grid.heads, grid.numeric, grid.rows[: shown_variants.ROWS], grid.caption + note)
