"""Figures over training steps and seconds, over training images, and over depth.

The functions draw finished frames and compute nothing; a marker, position or word repeats what a colour says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

from vitbench.plots import style
from vitbench.plots.style import INK, MUTED, WIDTH


def progress(curves: pd.DataFrame, *, leaders: Sequence[str], chance: float | None = None) -> Figure:
    """Validation accuracy against steps and seconds of training: a line a variant, the mean over its seeds.

    Args:
        curves: ``variant, family, steps, seconds, val_accuracy``.
        leaders: the variants drawn thick and named, at most one a family.
        chance: accuracy of guessing.
    """
    with style.figure_style():
        figure = Figure(figsize=(WIDTH, 3.1), layout="constrained")
        grid = figure.subplots(1, 2, sharey=True)
        families = style.Palette(curves["family"])
        for axes, field, label in zip(
            grid, ("steps", "seconds"), ("Training steps", "Seconds of training"), strict=True
        ):
            for variant, own in curves.groupby("variant", sort=False):
                family = own["family"].iloc[0]
                lead = variant in leaders
                at, colour = own.sort_values("epoch"), families.colours[family]
                axes.plot(
                    at[field], at["val_accuracy"], color=colour, lw=2 if lead else 0.8, alpha=1 if lead else 0.5,
                    zorder=3 if lead else 2,
                )  # fmt: skip
                if lead:
                    axes.plot(
                        at[field].iloc[-1], at["val_accuracy"].iloc[-1], families.markers[family], color=colour,
                        mec=INK, ms=6, zorder=4,
                    )  # fmt: skip
            axes.set_xlim(left=0)
            axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
            style.percent_axis(axes.yaxis)
            axes.set_xlabel(label)
        low, high = grid[0].get_ylim()
        if chance is not None and low - 0.15 * (high - low) <= chance:
            for axes in grid:
                axes.axhline(chance, color=MUTED, lw=1, ls=":", zorder=1)
        grid[0].set_ylabel("Validation accuracy (%)")
        handles = [
            Line2D([], [], color=families.colours[f], marker=families.markers[f], mec=INK, lw=2,
                   label=style.short(f"{f}: {name}", 34))
            for name in leaders
            for f in [curves.loc[curves["variant"] == name, "family"].iloc[0]]
        ]  # fmt: skip
        figure.legend(handles=handles, loc="outside upper left", ncols=2 if len(handles) < 5 else 1)
    return figure


def data_sizes(points: pd.DataFrame, lines: pd.DataFrame, *, chance: float | None = None) -> Figure:
    """Accuracy against the number of training images: every seed, the mean, the power law and its band.

    Args:
        points: ``curve, family, images, seed, accuracy``.
        lines: ``curve, images, accuracy, low, high``; the means of a curve without a fit are joined by dashed lines.
        chance: accuracy of guessing, drawn if it is in range.
    """
    with style.figure_style():
        figure = Figure(figsize=(WIDTH, 4.0), layout="constrained")
        axes = figure.subplots()
        names = list(dict.fromkeys(points["curve"]))
        looks = style.Palette(names)
        for name in names:
            own, law = points[points["curve"] == name], lines[lines["curve"] == name]
            colour, means = looks.colours[name], own.groupby("images")["accuracy"].mean()
            if len(law):
                axes.fill_between(law["images"], law["low"], law["high"], color=colour, alpha=0.18, lw=0, zorder=1)
                axes.plot(law["images"], law["accuracy"], color=colour, lw=1.6, zorder=2)
            else:
                axes.plot(means.index, means, color=colour, lw=1, ls=(0, (4, 2)), zorder=2)
            axes.plot(own["images"], own["accuracy"], "o", color=colour, ms=3, mec="none", alpha=0.5, zorder=3)
            axes.plot(means.index, means, looks.markers[name], color=colour, mec=INK, mew=0.8, ms=6, zorder=4)
        sizes = sorted(set(points["images"]))
        axes.set_xscale("log")
        axes.set_xticks(
            _apart(sizes), [f"{size:,}".replace(",", "\N{NARROW NO-BREAK SPACE}") for size in _apart(sizes)]
        )
        axes.xaxis.set_minor_locator(NullLocator())
        low, high = axes.get_ylim()
        if chance is not None and low - 0.15 * (high - low) <= chance:
            axes.axhline(chance, color=MUTED, lw=1, ls=":", zorder=1)
        axes.set_ylim(top=min(axes.get_ylim()[1], 1.02))
        style.percent_axis(axes.yaxis)
        axes.set(xlabel="Training images (logarithmic)", ylabel="Test accuracy (%)")
        figure.legend(handles=looks.handles(34, ls="-"), loc="outside upper left", ncols=2)
    return figure


def reach(distances: pd.DataFrame, fields: pd.DataFrame, *, image_px: int) -> Figure:
    """By depth: attention distance of the ViTs on the left, half of the ResNets' receptive field on the right.

    Args:
        distances: ``variant, block, distance_px``, of ViTs.
        fields: ``variant, depth, field_px``, of ResNets; half of a field is drawn.
        image_px: the side of an image, the end of the vertical axis.
    """
    with style.figure_style():
        lines = max(frame["variant"].nunique() for frame in (distances, fields))
        figure = Figure(figsize=(WIDTH, 2.9 + 0.19 * lines), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        below = ScaledTranslation(0, -0.42, figure.dpi_scale_trans)  # inches, for ticks and label
        for axes, frame in ((left, distances), (right, fields)):
            names = list(dict.fromkeys(frame["variant"]))
            looks = style.Palette(names)
            for name in names:
                own, colour = frame[frame["variant"] == name], looks.colours[name]
                if axes is left:
                    depth = own["block"] / own["block"].max()
                    axes.plot(depth, own["distance_px"], "o", color=colour, ms=2.5, mec="none", alpha=0.35, zorder=2)
                    mean = own.groupby("block")["distance_px"].mean()
                    at, values = mean.index.to_numpy() / own["block"].max(), mean.to_numpy()
                else:
                    at, values = own["depth"].to_numpy(), (own["field_px"].to_numpy() - 1) / 2
                axes.plot(at, values, color=colour, marker=looks.markers[name], ms=4.5, mec=INK, mew=0.6, lw=1.3)
            axes.set_xlim(0, 1.04)
            axes.set_xticks([0, 0.5, 1], ["0", "½", "1"])
            axes.set_xlabel("Depth (share of layers passed)")
            axes.legend(
                handles=looks.handles(24, ls="-", ms=4.5, mew=0.6), loc="upper left", bbox_to_anchor=(0, 0),
                bbox_transform=axes.transAxes + below, borderaxespad=0,
            )  # fmt: skip
        left.set_ylim(0, 1.02 * image_px)
        left.set_title("ViT: attention distance")
        right.set_title("ResNet: half of its receptive field")
        left.set_ylabel("Distance in the image (px)")
    return figure


def _apart(sizes: Sequence[int]) -> list[int]:
    """The sizes whose tick labels do not overlap, the smallest and the largest among them."""
    least = math.log(sizes[-1] / sizes[0]) / 9 if len(sizes) > 1 else 0
    kept = [sizes[0]]
    for size in sizes[1:-1]:
        if math.log(size / kept[-1]) >= least and math.log(sizes[-1] / size) >= least:
            kept.append(size)
    return kept + [size for size in sizes[-1:] if size != kept[-1]]
