"""Figures of variants: accuracy, its trade-off with cost, latency ratios, learning curves, attention.

The functions draw finished frames and compute nothing; a marker, position or word repeats what a colour says. The same
frames give the same bytes with the same versions of matplotlib and seaborn.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vitbench.plots import style
from vitbench.plots.style import GRID, INK, MUTED, SWATCHES, WIDTH
from vitbench.tables.columns import STATUS_WORDS

CELL = 4
"""Pixels a side of a patch in ``position_similarity``, so that gaps can be narrower than a patch."""


def accuracy(table: pd.DataFrame, seeds: pd.DataFrame, *, baseline: str, chance: float | None = None) -> Figure:
    """Every seed, the mean and its interval, a row a variant; a row without numbers says why.

    Args:
        table: ``variant, family, status, accuracy, accuracy_low, accuracy_high``.
        seeds: ``variant, seed, accuracy``; a seed has the same height in every row.
        baseline: the variant whose mean is drawn as a line through all rows.
        chance: accuracy of guessing, drawn if it is in range.
    """
    with style.figure_style():
        figure, axes = style.rows(list(table["variant"]))
        order = {variant: row for row, variant in enumerate(table["variant"])}
        families = style.Palette(table["family"])
        ranks = {seed: rank for rank, seed in enumerate(sorted(seeds["seed"].unique()))}
        step = 0.44 / max(len(ranks) - 1, 1)
        height = [
            order[v] + (ranks[s] * step - 0.22 if len(ranks) > 1 else 0)
            for v, s in zip(seeds["variant"], seeds["seed"], strict=True)
        ]
        dots = seeds.assign(height=height, family=seeds["variant"].map(table.set_index("variant")["family"]))
        sns.scatterplot(
            dots, x="accuracy", y="height", ax=axes, legend=False, alpha=0.5, s=18, linewidth=0, zorder=2,
            hue="family", palette=families.colours,
        )  # fmt: skip
        for row in table.to_dict("records"):
            at, mean, family = order[row["variant"]], row["accuracy"], row["family"]
            if math.isnan(mean):
                style.note(
                    axes,
                    at,
                    "no accuracy yet" if row["status"] == "ok" else STATUS_WORDS.get(row["status"], row["status"]),
                )
                continue
            style.interval(axes, mean, at, across=(row["accuracy_low"], row["accuracy_high"]), colour=INK)
            axes.plot(mean, at, families.markers[family], ms=6.5, mec=INK, color=families.colours[family], zorder=4)
            style.hover_target(axes, mean, at, row["variant"])
        mean = table.loc[table["variant"] == baseline, "accuracy"]
        if mean.notna().any():
            axes.axvline(float(mean.iloc[0]), color=MUTED, lw=1, ls=(0, (4, 3)), zorder=1)
        low, high = axes.get_xlim()
        if chance is not None and low - (high - low) * 0.15 <= chance <= high:
            axes.axvline(chance, color=MUTED, lw=1, ls=":", zorder=1)
        style.percent_axis(axes.xaxis)
        axes.set(xlabel="Test accuracy (%)", ylabel="")
        style.legend(axes, families)
    return figure


def tradeoff(table: pd.DataFrame, cost: str, *, label: str, baseline: str) -> Figure:
    """Accuracy against a cost, with intervals; each point has its name.

    Args:
        table: ``variant, family, accuracy(+_low, _high)`` and the column ``cost``, with ``_low`` and ``_high`` or none.
        cost: the column on the horizontal axis, which is logarithmic over more than a factor of four.
        label: that axis' label, with unit.
        baseline: the variant drawn larger.
    """
    with style.figure_style():
        points = table[table["accuracy"].notna() & table[cost].notna()]
        figure = Figure(figsize=(WIDTH, 3.9 + 0.09 * max(0, len(points) - 6)), layout="constrained")
        axes = figure.subplots()
        families = style.Palette(table["family"])
        intervals = f"{cost}_low" in table.columns
        for point in points.to_dict("records"):
            x, y = point[cost], point["accuracy"]
            colour = families.colours[point["family"]]
            sides = (point[f"{cost}_low"], point[f"{cost}_high"]) if intervals else None
            style.interval(
                axes, x, y, across=sides, up=(point["accuracy_low"], point["accuracy_high"]), colour=colour, width=1.1
            )
        sns.scatterplot(
            points, x=cost, y="accuracy", ax=axes, legend=False, zorder=3, edgecolor=INK, linewidth=0.8,
            hue="family", style="family", palette=families.colours, markers=families.markers,
            s=[75 if variant == baseline else 42 for variant in points["variant"]],
        )  # fmt: skip
        style.cost_axis(axes, [float(value) for value in points[cost]])
        axes.margins(y=0.12)
        style.percent_axis(axes.yaxis)
        axes.set(xlabel=label, ylabel="Test accuracy (%)")
        style.legend(axes, families)
        style.direct_labels(axes, [(row[cost], row["accuracy"], row["variant"]) for row in points.to_dict("records")])
        for point in points.to_dict("records"):  # last, because labels avoid what is drawn
            style.hover_target(axes, point[cost], point["accuracy"], point["variant"])
    return figure


def learning_curves(curves: pd.DataFrame, *, variants: Sequence[str], baseline: str) -> Figure:
    """Validation accuracy by epoch: a small plot a variant, each seed faint, the mean, the baseline's mean dashed.

    Args:
        curves: ``variant, seed, epoch, val_accuracy``.
        variants: the plots, in order.
        baseline: the variant repeated in every plot.
    """
    with style.figure_style():
        figure, grid = _multiples(len(variants))
        for axes, own, look in _lines(grid, curves, ("epoch", "val_accuracy"), variants, baseline):
            sns.lineplot(own, **look, units="seed", estimator=None, color=SWATCHES[0], lw=0.7, alpha=0.4)
            sns.lineplot(own, **look, errorbar=None, color=SWATCHES[0], lw=1.8)
            axes.set(xlabel="", ylabel="")
            style.percent_axis(axes.yaxis)
        figure.supxlabel("Epoch", size=9.5)
        figure.supylabel("Validation accuracy (%)", size=9.5)
    return figure


def attention_distance(distances: pd.DataFrame, *, variants: Sequence[str], baseline: str) -> Figure:
    """Attention distance by block: a small plot a variant, each head of each seed a dot, a line their mean.

    Args:
        distances: ``variant, block, distance_px, uniform_px``; the last, of uniform attention, is drawn dotted.
        variants: the plots, in order.
        baseline: the variant whose mean is repeated, dashed, in every plot.
    """
    with style.figure_style():
        figure, grid = _multiples(len(variants))
        for axes, own, look in _lines(grid, distances, ("block", "distance_px"), variants, baseline):
            axes.axhline(own["uniform_px"].iloc[0], color=MUTED, lw=1, ls=":", zorder=1)
            sns.lineplot(own, **look, errorbar=None, color=SWATCHES[0], lw=1.2)
            sns.scatterplot(own, **look, color=SWATCHES[0], s=14, alpha=0.6, linewidth=0, zorder=3)
            axes.set(xlabel="", ylabel="")
        grid[0].set_xlim(0.5, distances["block"].max() + 0.5)
        figure.supxlabel("Block", size=9.5)
        figure.supylabel("Mean attention distance (px)", size=9.5)
    return figure


def _lines(
    grid: Sequence[Axes], frame: pd.DataFrame, fields: tuple[str, str], variants: Sequence[str], baseline: str
) -> Iterator[tuple[Axes, pd.DataFrame, dict[str, Any]]]:
    """For each variant its axes with the baseline's mean, its rows, and the arguments that draw them with seaborn."""
    reference = frame[frame["variant"] == baseline]
    for axes, variant in zip(grid, variants, strict=True):
        look: dict[str, Any] = {"x": fields[0], "y": fields[1], "ax": axes, "legend": False}
        if variant != baseline and len(reference):
            sns.lineplot(reference, **look, errorbar=None, color=MUTED, lw=1.1, ls=(0, (4, 2)))
        axes.set_title("\n".join(style.wrapped(style.short(variant, 60), 22)))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True, min_n_ticks=1))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
        yield axes, frame[frame["variant"] == variant], look


def position_similarity(similarities: pd.DataFrame, *, variants: Sequence[str]) -> Figure:
    """Similarity of position embeddings: a small plot a variant, a tile a patch with its similarity to all patches.

    All plots have one scale, whose colours differ in lightness.

    Args:
        similarities: ``variant, row, column, other_row, other_column, similarity`` (cosine, -1 to 1).
        variants: the plots, in order.
    """
    with style.figure_style():
        titles = [style.wrapped(style.short(variant, 60), 20) for variant in variants]
        figure, grid = _multiples(len(variants), columns=3, share=False, height=1.95 + 0.14 * max(map(len, titles)))
        least = similarities["similarity"].min()
        for number, (axes, variant) in enumerate(zip(grid, variants, strict=True)):
            own = similarities[similarities["variant"] == variant]
            names = ["row", "other_row", "column", "other_column"]
            rows, down, columns, across = (sorted(own[name].unique()) for name in names)
            values = own.sort_values(names)["similarity"].to_numpy(float)
            tiles = values.reshape(len(rows), len(down), len(columns), len(across)).repeat(CELL, 1).repeat(CELL, 3)
            high, wide = tiles.shape[1], tiles.shape[3]
            gap = math.ceil(0.12 * max(high, wide))
            framed = np.pad(tiles, ((0, 0), (0, gap), (0, 0), (0, gap)), constant_values=np.nan)
            picture = framed.reshape(len(rows) * (high + gap), len(columns) * (wide + gap))[:-gap, :-gap]
            image = axes.imshow(picture, interpolation="none", cmap="viridis", vmin=least, vmax=1)
            axes.set_xticks([i * (wide + gap) + (wide - 1) / 2 for i in range(len(columns))], columns)
            axes.set_yticks([i * (high + gap) + (high - 1) / 2 for i in range(len(rows))], rows)
            axes.tick_params(length=0, labelsize=8)
            axes.grid(visible=False)
            axes.spines[:].set_visible(False)
            axes.set_title("\n".join(titles[number]), size=8.5)
            axes.set_anchor("W")  # a narrow plot leaves space for its title
            axes.set_xlabel("Patch column" if number + 3 >= len(grid) else "", size=9)
            axes.set_ylabel("Patch row" if number % 3 == 0 else "", size=9)
        lines = math.ceil(len(grid) / 3)
        bar = figure.colorbar(image, ax=grid, shrink=0.8 / lines, anchor=(0, 1), panchor=False, aspect=24, pad=0.02)
        bar.set_label("Cosine similarity", size=9)
        bar.ax.tick_params(labelsize=8)
    return figure


def latency_ratios(
    comparisons: pd.DataFrame, *, variants: Sequence[str], baseline: str, noise: tuple[float, float] | None
) -> Figure:
    """The latency of each variant over the baseline's, with the interval of its verdict.

    Args:
        comparisons: ``variant, value, low, high, kind``: ratios, and the word of the verdict.
        variants: the rows, in order, with or without a comparison.
        baseline: what the ratios are relative to.
        noise: the interval of the A/A control.
    """
    with style.figure_style():
        figure, axes = style.rows(variants)
        if noise is not None:
            axes.axvspan(*noise, color=GRID, lw=0, zorder=0.5)
        axes.axvline(1, color=MUTED, lw=1, zorder=1)
        known = {row["variant"]: row for row in comparisons.to_dict("records")}
        reach = [1.0]
        for at, variant in enumerate(variants):
            entry = known.get(variant)
            if entry is None or math.isnan(entry["value"]):
                style.margin_note(axes, at, "baseline" if variant == baseline else "not measured", quiet=True)
                continue
            value, low, high = entry["value"], entry["low"], entry["high"]
            style.verdict_mark(axes, at, value, bounds=(low, high), kind=entry["kind"])
            style.hover_target(axes, value, at, variant)
            style.margin_note(axes, at, f"{value:.3f}  [{low:.3f}, {high:.3f}]")
            reach += [end for end in (value, low, high) if not math.isnan(end)]
        if max(reach) / min(reach) > 3:
            style.log_axis(axes)
        axes.margins(x=0.08)
        axes.set(xlabel=f"Latency relative to {style.short(baseline)} (1 = equal, left is faster)", ylabel="")
    return figure


def _multiples(
    count: int, *, columns: int | None = None, share: bool = True, height: float = 1.75
) -> tuple[Figure, list[Axes]]:
    """``count`` small plots, at most three in a line; shared axes have tick labels at the outer plots."""
    columns = columns or min(3, count)
    lines = math.ceil(count / columns)
    figure = Figure(figsize=(WIDTH, 0.5 + height * lines), layout="constrained")
    grid = figure.subplots(lines, columns, sharex=share, sharey=share, squeeze=False).ravel()
    for axes in grid[count:]:
        axes.set_axis_off()
    for axes in grid[max(0, count - columns) : count]:
        axes.tick_params(labelbottom=True)
    return figure, list(grid[:count])
