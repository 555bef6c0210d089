"""The roofline figure: each variant under the roof of its machine, both axes logarithmic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

from vitbench.plots import style
from vitbench.plots.style import INK, MUTED, PAPER, WIDTH
from vitbench.utils.format import si

HEIGHT = 4.4
STROKES = ("solid", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)))
"""Line styles of the roofs, one for each set of machine settings."""

SMALL = 8  # points of print


def roofs(points: pd.DataFrame, machines: pd.DataFrame) -> Figure:
    """Achieved FLOP/s over FLOPs per byte, a point a variant, and the roofs as lines.

    A point is at the intensity of its unfused traffic; the thin line to its right ends at that of its compulsory
    traffic. A hollow point is limited by operator launch overhead.

    Args:
        points: ``variant, family, intensity, intensity_at_most, achieved, bound``.
        machines: ``machine, flop_per_s, bytes_per_s``, a row for each set of machine settings.
    """
    with style.figure_style():
        figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        ridges = machines["flop_per_s"] / machines["bytes_per_s"]
        left = min(points["intensity"].min(), ridges.min()) / 4
        right = max(points["intensity_at_most"].max(), ridges.max()) * 4
        bottom = min(points["achieved"].min(), (left * machines["bytes_per_s"]).min()) / 2
        axes.set(xscale="log", yscale="log", xlim=(left, right), ylim=(bottom, machines["flop_per_s"].max() * 3))
        known = machines.to_dict("records")
        for number, machine in enumerate(known):
            axes.add_collection(
                LineCollection(
                    [_line(machine, left, right)], colors=INK, lw=1.4, ls=[STROKES[number % len(STROKES)]], zorder=2
                )
            )
        families = style.Palette(points["family"])
        for row in points.to_dict("records"):
            colour, marker = families.colours[row["family"]], families.markers[row["family"]]
            x, y, hollow = row["intensity"], row["achieved"], row["bound"] == "launch"
            axes.plot((x, row["intensity_at_most"]), (y, y), color=colour, lw=0.9, alpha=0.5, zorder=3)
            axes.plot(
                x, y, marker, ms=6.5, mec=colour if hollow else INK, mew=1.4 if hollow else 0.8,
                mfc=PAPER if hollow else colour, zorder=4,
            )  # fmt: skip
            style.hover_target(axes, x, y, row["variant"])
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator())
            axis.set_minor_locator(NullLocator())
            axis.set_major_formatter(EngFormatter(sep="\N{NARROW NO-BREAK SPACE}"))
        axes.set(xlabel="FLOPs per byte moved", ylabel="FLOP per second")
        style.legend(axes, families)
        figure.draw_without_rendering()
        taken = [*_name_roofs(axes, known, right)]
        taken += [tuple(at) for machine in known for at in _line(machine, left, right, 70).tolist()]
        named = [(row["intensity"], row["achieved"], row["variant"]) for row in points.to_dict("records")]
        style.direct_labels(axes, named, taken)
    return figure


def _line(machine: dict[Any, Any], left: float, right: float, count: int = 200) -> np.ndarray:
    """Points of a roof, shape (count, 2)."""
    at = np.geomspace(left, right, count)
    return np.stack([at, np.minimum(machine["flop_per_s"], at * machine["bytes_per_s"])], axis=1)


def _name_roofs(axes: Axes, machines: Sequence[dict[Any, Any]], right: float) -> Iterator[tuple[float, float]]:
    """Writes the limits of each machine at its roof, and yields points of the data that the words cover."""
    for machine in machines:
        peak, bandwidth = float(machine["flop_per_s"]), float(machine["bytes_per_s"])
        text = axes.annotate(
            f"{machine['machine']}: {si(peak)}FLOP/s, {si(bandwidth)}B/s", (right, peak), (-3, 3), ha="right",
            textcoords="offset points", va="bottom", size=SMALL, color=MUTED, zorder=5,
            path_effects=[withStroke(linewidth=2.2, foreground=PAPER)],
        )  # fmt: skip
        box = text.get_window_extent()
        for x in np.linspace(box.x0, box.x1, 16):
            at = axes.transData.inverted().transform((x, (box.y0 + box.y1) / 2))
            yield float(at[0]), float(at[1])
