"""Figures of a grid: main effects and interactions.

The functions draw finished frames and compute nothing; a marker, position or word repeats what a colour says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator

from vitbench.plots import style
from vitbench.plots.style import INK, MUTED, WIDTH

REFERENCE = "reference"
"""The kind of the level that the others are compared with."""

LINES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
"""Line styles, one for each colour and marker."""


def main_effects(frame: pd.DataFrame, *, labels: Mapping[str, str]) -> Figure:
    """A row a level, a column a metric: the effect and the interval of its verdict.

    Args:
        frame: ``axis, setting, metric, value, low, high, kind``: a difference of accuracies or a ratio of timings, and
            the word of the verdict, or ``REFERENCE``.
        labels: metric → the label of its column.
    """
    with style.figure_style():
        rows = frame.drop_duplicates("setting")[["axis", "setting"]].to_dict("records")
        names = ["\n".join(style.wrapped(style.short(row["setting"], 60), 28)) for row in rows]
        tall = max(name.count("\n") for name in names) + 1
        figure = Figure(figsize=(WIDTH, 0.75 + len(rows) * max(0.32, 0.15 * tall + 0.07)), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(1, len(labels), sharey=True, squeeze=False)[0]
        known = {(row["setting"], row["metric"]): row for row in frame.to_dict("records")}
        for axes, (metric, label) in zip(grid, labels.items(), strict=True):
            nothing = 0.0 if metric == "accuracy" else 1.0
            axes.axvline(nothing, color=MUTED, lw=1, zorder=1)
            for at, row in enumerate(rows):
                _effect(axes, at, known.get((row["setting"], metric)), nothing)
                if at and row["axis"] != rows[at - 1]["axis"]:
                    axes.axhline(at - 0.5, color=MUTED, lw=0.5, zorder=0.5)
            _scale(axes, metric, frame[frame["metric"] == metric])
            axes.set_xlabel(label)
            axes.grid(visible=False, axis="y")
            axes.spines["left"].set_visible(False)
        grid[0].set_yticks(range(len(rows)), names)
        grid[0].set_ylim(len(rows) - 0.5, -0.5)
    return figure


def interactions(means: pd.DataFrame, *, label: str, metric: str) -> Figure:
    """A small plot for each two axes: one along the bottom, a line for each level of the other.

    Args:
        means: ``axis, level, axis_2, level_2, value, low, high``; ``axis`` is along the bottom.
        label: of the vertical axes.
        metric: accuracy is shown in percent.
    """
    with style.figure_style():
        pairs = list(means.groupby(["axis", "axis_2"], sort=False))
        lines = math.ceil(len(pairs) / 2)
        across = min(2, len(pairs))
        figure = Figure(figsize=(WIDTH, 0.3 + 2.9 * lines), layout="constrained")
        grid = figure.subplots(lines, across, squeeze=False, sharey=True).ravel()
        for axes, ((below, other), own) in zip(grid, pairs, strict=False):
            _lines(axes, own, str(other), columns=3 if across == 2 else 6)
            axes.set_xlabel(style.short(str(below), 32))
            axes.yaxis.set_major_locator(MaxNLocator(nbins=6))
            axes.tick_params(labelleft=True)
            if metric == "accuracy":
                style.percent_axis(axes.yaxis)
        for axes in grid[len(pairs) :]:
            axes.set_axis_off()
        figure.supylabel(label, size=9.5)
    return figure


def _effect(axes: Axes, at: int, row: Mapping[Any, Any] | None, nothing: float) -> None:
    """Draws one level in one metric, or the words that it was not measured."""
    if row is None or math.isnan(row["value"]):
        style.note(axes, at, "not measured")
        return
    kind = row["kind"]
    if kind == REFERENCE:
        axes.plot(nothing, at, "|", ms=9, mew=2, color=MUTED, zorder=4)
        return
    shape = "^" if kind in style.GOOD else "v" if kind in style.BAD else "o"
    style.verdict_mark(axes, at, row["value"], bounds=(row["low"], row["high"]), kind=kind, shape=shape)


def _scale(axes: Axes, metric: str, own: pd.DataFrame) -> None:
    """Shows a difference in points, and a wide ratio on a logarithmic axis."""
    axes.margins(x=0.1)
    if metric == "accuracy":
        style.percent_axis(axes.xaxis)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
        return
    ends = [float(end) for field in ("value", "low", "high") for end in own[field].dropna()]
    if max(ends) > style.LOG_FROM * min(ends):
        decades = math.log10(max(ends) / min(ends))
        style.log_axis(axes, decades=decades)
        if decades > 1:  # half of a figure has no space for more
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 3) if decades < 2 else (1,)))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))


def _lines(axes: Axes, own: pd.DataFrame, other: str, *, columns: int) -> None:
    """Draws the levels of one axis as lines, a little apart so that their intervals can be seen."""
    places = list(dict.fromkeys(own["level"]))
    names = list(dict.fromkeys(own["level_2"]))
    looks = style.Palette(names)
    handles = []
    for number, name in enumerate(names):
        line = own[own["level_2"] == name].set_index("level").reindex(places)
        shift = 0.08 * (number - (len(names) - 1) / 2)
        at = [place + shift for place in range(len(places))]
        colour = looks.colours[name]
        look: dict[str, Any] = {"ls": LINES[number % len(LINES)], "marker": looks.markers[name]}
        for x, (value, low, high) in zip(at, line[["value", "low", "high"]].itertuples(index=False), strict=True):
            style.interval(axes, x, value, up=(low, high), colour=colour, width=0.9)
        axes.plot(at, line["value"], color=colour, ms=5, mec=INK, mew=0.6, lw=1.4, zorder=4, **look)
        handles.append(Line2D([], [], color=colour, ms=5, mec=INK, mew=0.6, label=style.short(name, 14), **look))
    every = max(1, math.ceil(len(places) / 8))
    axes.set_xticks(range(0, len(places), every), [style.short(place, 10) for place in places[::every]])
    axes.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=min(columns, len(names)), borderaxespad=0.2,
        title=style.short(other, 32), alignment="left", handlelength=2.6, columnspacing=1.0, fontsize=8,
    )  # fmt: skip
