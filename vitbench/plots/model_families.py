"""Figures that compare families: Pareto fronts, and tuned accuracy.

The functions draw finished frames and compute nothing; a marker, position or word repeats what a colour says.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator

from vitbench.plots import style
from vitbench.plots.style import INK, MUTED, PAPER, WIDTH

LIKELY = 0.5
"""Probability of being on a front from which on a point has its name."""


def fronts(front: pd.DataFrame, *, labels: Mapping[str, str], baseline: str) -> Figure:
    """Accuracy against each cost, a small plot each: points are filled by their probability of being on the front.

    The stairs are the front of the means; points that are probably on it have names.

    Args:
        front: ``cost, variant, family, value, low, high, accuracy, accuracy_low, accuracy_high, probability``.
        labels: cost → axis label with unit, in the order of the plots.
        baseline: the variant drawn larger.
    """
    with style.figure_style():
        count = len(labels)
        lines = math.ceil((count + 1) / 2)
        figure = Figure(figsize=(WIDTH, 0.3 + 2.75 * lines), layout="constrained")
        grid = figure.subplots(lines, 2, sharey=True, squeeze=False).ravel()
        families = style.Palette(front["family"])
        for axes, (cost, label) in zip(grid, labels.items(), strict=False):
            own = front[front["cost"] == cost]
            _stairs(axes, own)
            for p in own.to_dict("records"):
                colour, chance = families.colours[p["family"]], p["probability"]
                bounds = (p["low"], p["high"]), (p["accuracy_low"], p["accuracy_high"])
                style.interval(
                    axes, p["value"], p["accuracy"], across=bounds[0], up=bounds[1], colour=colour, width=0.8
                )
                size = 7.5 if p["variant"] == baseline else 5.5
                shape = {"marker": families.markers[p["family"]], "ms": size, "zorder": 4}
                axes.plot(p["value"], p["accuracy"], color=PAPER, mec="none", **shape)
                axes.plot(p["value"], p["accuracy"], color=colour, mec="none", alpha=chance, **shape)
                axes.plot(p["value"], p["accuracy"], mfc="none", mec=INK, mew=0.8, **shape)
            style.cost_axis(axes, [float(value) for value in own["value"]])
            axes.xaxis.set_major_locator(_few(axes))
            axes.set_xlim(left=max(axes.get_xlim()[0], 0))  # a cost is not negative, even if its interval is
            axes.margins(y=0.14)
            style.percent_axis(axes.yaxis)
            axes.tick_params(labelleft=True)
            axes.set_xlabel(label, size=8.5)
        for axes in grid[count:]:
            axes.set_axis_off()
        _fill_legend(grid[count], families)
        figure.supylabel("Test accuracy (%)", size=9.5)
        for axes, cost in zip(grid, labels, strict=False):
            own = front[(front["cost"] == cost)]
            named = own[own["probability"] >= LIKELY]
            style.direct_labels(
                axes,
                [(r["value"], r["accuracy"], style.short(r["variant"], 20)) for r in named.to_dict("records")],
                others=[(r["value"], r["accuracy"]) for r in own.to_dict("records")],
            )
            for r in own.to_dict("records"):
                style.hover_target(axes, r["value"], r["accuracy"], r["variant"], of=cost)
    return figure


def tuned(frame: pd.DataFrame) -> Figure:
    """A row a variant: hollow under the shared recipe, filled tuned, both with intervals.

    Args:
        frame: ``variant, family, same, same_low, same_high, tuned, tuned_low, tuned_high``.
    """
    with style.figure_style():
        figure, axes = style.rows(list(frame["variant"]))
        families = style.Palette(frame["family"])
        for at, row in enumerate(frame.to_dict("records")):
            colour, marker = families.colours[row["family"]], families.markers[row["family"]]
            for name, height, full in (("same", at - 0.13, False), ("tuned", at + 0.13, True)):
                if not math.isnan(row[name]):
                    sides = (row[f"{name}_low"], row[f"{name}_high"])
                    style.interval(axes, row[name], height, across=sides, colour=MUTED, width=1.1)
                    fill = colour if full else PAPER
                    axes.plot(row[name], height, marker, ms=6, mec=colour, mew=1.3, color=fill, zorder=4)
                    style.hover_target(axes, row[name], height, row["variant"], of=name)
        style.percent_axis(axes.xaxis)
        axes.margins(x=0.06)
        axes.set(xlabel="Test accuracy (%)", ylabel="")
        handles = [
            Line2D([], [], ls="", marker="o", mec=INK, mew=1.3, color=PAPER, label="shared recipe"),
            Line2D([], [], ls="", marker="o", mec=INK, mew=1.3, color=INK, label="tuned"),
        ]
        if len(families.names) > 1:
            handles += families.handles(24)
        figure.legend(handles=handles, loc="outside upper left", ncols=4, handletextpad=0.2)
    return figure


def _stairs(axes: Axes, own: pd.DataFrame) -> None:
    """Draws the front of the means."""
    ordered = own.sort_values(["value", "accuracy"], ascending=[True, False])
    best = ordered[ordered["accuracy"] > ordered["accuracy"].cummax().shift(fill_value=-math.inf)]
    corners = best[["value", "accuracy"]].to_numpy(dtype=float)
    for (x, y), (next_x, next_y) in itertools.pairwise(corners):  # one line a step, so that labels avoid each
        axes.plot((x, next_x), (y, y), color=MUTED, lw=1, zorder=1.5)
        axes.plot((next_x, next_x), (y, next_y), color=MUTED, lw=1, zorder=1.5)


def _few(axes: Axes) -> mpl.ticker.Locator:
    """Fewer ticks than in a whole figure."""
    return LogLocator(subs=(1, 3)) if axes.get_xscale() == "log" else MaxNLocator(nbins=4)


def _fill_legend(axes: Axes, families: style.Palette) -> None:
    """Explains shapes, fills and stairs."""
    handles = families.handles(30)
    handles += [
        Line2D([], [], ls="", marker="o", mfc=(*mpl.colors.to_rgb(MUTED), chance), mec=INK, label=text)
        for chance, text in ((1.0, "always on the front"), (0.5, "in half of the draws"), (0.0, "never"))
    ]
    handles.append(Line2D([], [], color=MUTED, lw=1, label="front of the means"))
    axes.legend(handles=handles, loc="center", fontsize=8.5)
