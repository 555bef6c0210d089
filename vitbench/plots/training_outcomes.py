"""Figures of what a training left: accuracy of each class, calibration, and parts of the test split read apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from vitbench.plots import style
from vitbench.plots.style import INK, MUTED, PAPER, SWATCHES

DECIDED = {"better": 0, "worse": 1}
"""Verdict → swatch; every other verdict is drawn grey and hollow."""


def differences(frame: pd.DataFrame, *, first: str, second: str) -> Figure:
    """The first one's accuracy against the second's, a row a class or a pair, with the interval of its verdict.

    Args:
        frame: ``name, value, low, high, kind``; differences of fractions.
        first: whose advantage lies to the right.
        second: whose lies to the left.
    """
    with style.style():
        figure, axes = style.rows(list(frame["name"]))
        axes.axvline(0, color=MUTED, lw=1, zorder=1)
        for at, row in enumerate(frame.to_dict("records")):
            decided = row["kind"] in DECIDED
            colour = SWATCHES[DECIDED[row["kind"]]] if decided else MUTED
            style.interval(axes, row["value"], at, across=(row["low"], row["high"]), colour=colour, width=1.5)
            axes.plot(row["value"], at, "o", ms=5.5, mec=colour, mew=1.4, mfc=colour if decided else PAPER, zorder=4)
        style.percent_axis(axes.xaxis)
        axes.margins(x=0.08)
        for at, side, text in (
            (0, "left", f"← {style.short(second, 20)} ahead"),
            (1, "right", f"{style.short(first, 20)} ahead →"),
        ):
            axes.annotate(
                text, (at, 1), (0, 3), xycoords="axes fraction", textcoords="offset points", ha=side, va="bottom",
                color=MUTED,
            )  # fmt: skip
        axes.set(xlabel="Difference in accuracy (points)", ylabel="")
    return figure


def calibration(frame: pd.DataFrame) -> Figure:
    """The calibration error of each variant with its interval, a row a variant; the plain estimate is a faint cross.

    Args:
        frame: ``variant, family, error, low, high, plain``, fractions.
    """
    with style.style():
        figure, axes = style.rows(list(frame["variant"]))
        families = style.Families(frame["family"])
        for at, row in enumerate(frame.to_dict("records")):
            colour, marker = families.colours[row["family"]], families.markers[row["family"]]
            style.interval(axes, row["error"], at, across=(row["low"], row["high"]), colour=INK, width=1.3)
            axes.plot(row["error"], at, marker, ms=6, mec=INK, color=colour, zorder=4)
            style.hit(axes, row["error"], at, row["variant"])
            axes.plot(row["plain"], at, "x", ms=4.5, mew=1, color=MUTED, zorder=3)
        axes.set_xlim(left=-0.02 * frame["high"].max())
        style.percent_axis(axes.xaxis)
        axes.set(xlabel="Expected calibration error (points)", ylabel="")
        style.legend(axes, families)
    return figure


def groups(frame: pd.DataFrame, *, order: Sequence[str], chance: float | None = None) -> Figure:
    """Accuracy on each part of the test split: a row a variant, in it a mark a part, with its interval.

    Args:
        frame: ``variant, group, value, low, high``, fractions.
        order: the parts, from the top of a row to its bottom.
        chance: accuracy of guessing.
    """
    with style.style():
        variants = list(dict.fromkeys(frame["variant"]))
        figure, axes = style.rows(variants, least=0.17 * len(order) + 0.12)
        looks = style.Families(order)
        step = min(0.62 / max(len(order) - 1, 1), 0.22)
        if chance is not None:
            axes.axvline(chance, color=MUTED, lw=1, ls=":", zorder=1)
        for row in frame.to_dict("records"):
            at = variants.index(row["variant"]) + step * (order.index(row["group"]) - (len(order) - 1) / 2)
            if not math.isnan(row["value"]):
                colour, marker = looks.colours[row["group"]], looks.markers[row["group"]]
                style.interval(axes, row["value"], at, across=(row["low"], row["high"]), colour=colour, width=1)
                axes.plot(row["value"], at, marker, ms=5.5, mec=INK, mew=0.7, color=colour, zorder=4)
        axes.set_xlim(-0.02, 1.02)
        for line in range(1, len(variants)):
            axes.axhline(line - 0.5, color=MUTED, lw=0.4, zorder=0.5)
        style.percent_axis(axes.xaxis)
        axes.set(xlabel="Test accuracy (%)", ylabel="")
        handles = [
            Line2D([], [], ls="", marker=looks.markers[n], mec=INK, mew=0.7, color=looks.colours[n],
                   label=style.short(n, 32))
            for n in order
        ]  # fmt: skip
        figure.legend(handles=handles, loc="outside upper left", ncols=3, handletextpad=0.2)
    return figure
