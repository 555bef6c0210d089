"""Figures of training outcomes: accuracy of each class, calibration, and accuracy by test group."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from vitbench.plots import style
from vitbench.plots.style import INK, MUTED


def differences(frame: pd.DataFrame, *, first: str, second: str) -> Figure:
    """Differences in accuracy, a row a class or a pair, with the interval of the verdict.

    Args:
        frame: ``name, value, low, high, kind``; differences of fractions.
        first: is ahead to the right.
        second: is ahead to the left.
    """
    with style.figure_style():
        figure, axes = style.rows(list(frame["name"]))
        axes.axvline(0, color=MUTED, lw=1, zorder=1)
        for at, row in enumerate(frame.to_dict("records")):
            style.verdict_mark(axes, at, row["value"], bounds=(row["low"], row["high"]), kind=row["kind"])
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
    """Calibration error with its interval, a row a variant; the cross is the plain estimate.

    Args:
        frame: ``variant, family, error, low, high, plain``, fractions.
    """
    with style.figure_style():
        figure, axes = style.rows(list(frame["variant"]))
        families = style.Palette(frame["family"])
        for at, row in enumerate(frame.to_dict("records")):
            colour, marker = families.colours[row["family"]], families.markers[row["family"]]
            style.interval(axes, row["error"], at, across=(row["low"], row["high"]), colour=INK, width=1.3)
            axes.plot(row["error"], at, marker, ms=6, mec=INK, color=colour, zorder=4)
            style.hover_target(axes, row["error"], at, row["variant"])
            axes.plot(row["plain"], at, "x", ms=4.5, mew=1, color=MUTED, zorder=3)
        axes.set_xlim(left=-0.02 * frame["high"].max())
        style.percent_axis(axes.xaxis)
        axes.set(xlabel="Expected calibration error (points)", ylabel="")
        style.legend(axes, families)
    return figure


def groups(frame: pd.DataFrame, *, order: Sequence[str], chance: float | None = None) -> Figure:
    """Accuracy by test group: a row a variant, a mark a group, with its interval.

    Args:
        frame: ``variant, group, value, low, high``, fractions.
        order: the groups, from the top of a row to its bottom.
        chance: accuracy of guessing.
    """
    with style.figure_style():
        variants = list(dict.fromkeys(frame["variant"]))
        figure, axes = style.rows(variants, least=0.17 * len(order) + 0.12)
        looks = style.Palette(order)
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
        figure.legend(handles=looks.handles(32, mew=0.7), loc="outside upper left", ncols=3, handletextpad=0.2)
    return figure
