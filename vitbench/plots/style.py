"""The style of the figures: colours, row charts, marks, axes, and labels that do not overlap."""

from __future__ import annotations

import contextlib
import math
import textwrap
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox

INK, MUTED, GRID, PAPER = "#1f2329", "#62676e", "#dde1e6", "#ffffff"
"""Text, secondary text, lines and background; the HTML report maps them to its light or dark theme."""

SWATCHES = tuple(str(sns.color_palette("colorblind").as_hex()[i]) for i in (0, 3, 2, 4, 5, 7))
MARKERS = ("o", "s", "^", "D", "v", "P")
WIDTH = 6.6  # inches; the column of the HTML report at 96 px an inch
POINT = "point-"  # the start of the id of a mark that ``hover_target`` draws
LOG_FROM = 4  # a cost axis that spans a larger factor is logarithmic
GOOD, BAD = ("better", "faster"), ("worse", "slower")

STYLE: Mapping[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.facecolor": PAPER,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 9.5,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
    "figure.dpi": 100,
    "figure.facecolor": PAPER,
    "font.family": "DejaVu Sans",  # comes with matplotlib, so figures are the same everywhere
    "font.size": 9,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "savefig.facecolor": PAPER,
    "svg.fonttype": "path",
    "svg.hashsalt": "vitbench",
    "text.color": INK,
    "text.parse_math": False,  # a variant may be called "$lr$"
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "ytick.major.size": 0,
}


@contextlib.contextmanager
def figure_style() -> Iterator[None]:
    """A context in which figures are made and saved in this style, whatever the user's matplotlibrc says."""
    settings: dict[Any, Any] = {k: mpl.rcParamsDefault[k] for k in mpl.rcParamsDefault if not k.startswith("backend")}
    with mpl.rc_context(settings | dict(STYLE)), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the figure has a box, the tables have the letter
        yield


def save(figure: Figure, stem: Path) -> tuple[Path, Path]:
    """Writes ``stem.svg`` and ``stem.png`` without a date or a version; their paths."""
    svg, png = stem.with_name(stem.name + ".svg"), stem.with_name(stem.name + ".png")
    with figure_style():
        figure.savefig(svg, metadata={"Date": None, "Creator": None})
        figure.savefig(png, dpi=200, metadata={"Software": None})
    return svg, png


class Palette:
    """Colour and marker of each name, in order of appearance."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = list(dict.fromkeys(names))
        self.colours = {name: SWATCHES[i % len(SWATCHES)] for i, name in enumerate(self.names)}
        self.markers = {name: MARKERS[i % len(MARKERS)] for i, name in enumerate(self.names)}

    def handles(self, width: int = 40, **look: Any) -> list[Line2D]:
        """A legend entry for each name, shortened to ``width``; ``look`` are properties of the lines."""
        look = {"ls": "", "mec": INK, **look}
        return [Line2D([], [], marker=self.markers[n], color=self.colours[n], label=short(n, width), **look)
                for n in self.names]  # fmt: skip


def legend(axes: Axes, families: Palette) -> None:
    """Names the families above the axes if there is more than one."""
    if len(families.names) > 1:
        axes.legend(
            handles=families.handles(), loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderaxespad=0.2,
            handletextpad=0.2,
        )  # fmt: skip


def wrapped(name: str, width: int) -> list[str]:
    """A name in lines of at most ``width`` characters, broken after a comma if possible, else after ``=`` or ``_``."""
    lines = [""]
    for part in _pieces(name, ","):
        for piece in [part] if len(part) <= width else _pieces(_pieces(part, "="), "_"):
            if len(lines[-1]) + len(piece) <= width:
                lines[-1] += piece
            else:
                lines += textwrap.wrap(piece, width)
    return [line for line in lines if line] or [""]


def _pieces(text: str | list[str], mark: str) -> list[str]:
    """The text, cut after every mark."""
    if isinstance(text, list):
        return [piece for part in text for piece in _pieces(part, mark)]
    return text.replace(mark, mark + "\0").split("\0")


def short(name: str, width: int = 40) -> str:
    """A name on one line; a long name loses its middle."""
    name, half = " ".join(name.split()), (width - 1) // 2
    return name if len(name) <= width else f"{name[:half]}…{name[-half:]}"


def rows(names: Sequence[str], least: float = 0.34) -> tuple[Figure, Axes]:
    """A chart with a row for each name, the first on top, each at least ``least`` inches high."""
    lines = [wrapped(short(name, 78), 30) for name in names]
    height = 0.75 + len(names) * max(least, 0.15 * max(map(len, lines)) + 0.07)
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set_yticks(range(len(names)), ["\n".join(line) for line in lines])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    return figure, axes


def note(axes: Axes, row: int, text: str) -> None:
    """Writes a word into a row without numbers."""
    axes.annotate(
        text, (0, row), (6, 0), xycoords=("axes fraction", "data"), textcoords="offset points", va="center",
        color=MUTED, style="italic", bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.5},
    )  # fmt: skip


def margin_note(axes: Axes, row: int, text: str, *, quiet: bool = False) -> None:
    """Writes to the right of a row its numbers, or (``quiet``) why it has none."""
    axes.annotate(
        text, (1, row), (8, 0), xycoords=("axes fraction", "data"), textcoords="offset points", va="center",
        color=MUTED if quiet else INK, style="italic" if quiet else "normal", annotation_clip=False,
    )  # fmt: skip


def hundredths(value: float, _: object = None) -> str:
    """The label of a tick: a fraction in percent."""
    return f"{100 * value:.5g}"


def percent_axis(axis: Axis) -> None:
    """Shows fractions in percent."""
    axis.set_major_formatter(FuncFormatter(hundredths))


def interval(
    axes: Axes,
    x: float,
    y: float,
    *,
    across: tuple[float, float] | None = None,
    up: tuple[float, float] | None = None,
    colour: str,
    width: float = 1.5,
) -> None:
    """Draws the interval of a point, if it has one."""
    if across is not None and not math.isnan(across[0]):
        axes.plot(across, (y, y), "|-", color=colour, lw=width, ms=4 * width, mew=width, zorder=3)
    if up is not None and not math.isnan(up[0]):
        axes.plot((x, x), up, "_-", color=colour, lw=width, ms=4 * width, mew=width, zorder=3)


def verdict_mark(
    axes: Axes, row: int, value: float, *, bounds: tuple[float, float], kind: str, shape: str = "o"
) -> None:
    """Draws a value with its interval: filled in blue (good) or orange (bad) if it has a verdict, else hollow."""
    swatch = 0 if kind in GOOD else 1 if kind in BAD else None
    colour = MUTED if swatch is None else SWATCHES[swatch]
    interval(axes, value, row, across=bounds, colour=colour)
    axes.plot(value, row, shape, ms=5.5, mec=colour, mew=1.4, mfc=PAPER if swatch is None else colour, zorder=4)


def hover_target(axes: Axes, x: float, y: float, name: str, *, of: str = "") -> None:
    """Draws an invisible mark over a point, whose id tells the HTML report the point's name.

    ``of`` distinguishes points of one name in several axes of a figure.
    """
    axes.plot(x, y, "o", ms=15, mew=0, color=INK, alpha=0, zorder=6, gid=f"{POINT}{of}:{quote(name, safe='=,')}")


def cost_axis(axes: Axes, values: Sequence[float]) -> None:
    """Makes the horizontal axis one of costs: logarithmic over a wide span, with k, M, G, and never very narrow."""
    low, high = min(values, default=1.0), max(values, default=1.0)
    if low > 0 and high / low > LOG_FROM:
        log_axis(axes, decades=math.log10(high / low))
        axes.margins(x=0.12)
    elif high - low < 0.1 * high:
        axes.set_xlim(low - 0.1 * high, high + 0.1 * high)
    else:
        axes.margins(x=0.12)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
    if high >= 1000:
        axes.xaxis.set_major_formatter(EngFormatter(sep="\N{NARROW NO-BREAK SPACE}"))


def log_axis(axes: Axes, *, decades: float = 1.0) -> None:
    """Makes the horizontal axis logarithmic, with ticks at 1, 2 and 5, and more on less than a decade."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades >= 1 else (1, 1.5, 2, 3, 4, 5, 6, 8)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def direct_labels(
    axes: Axes, points: Sequence[tuple[float, float, str]], others: Sequence[tuple[float, float]] = ()
) -> None:
    """Writes each point's name beside it, at the nearest place that covers no name, no point and no edge.

    The layout is frozen first, so that a place stays free. ``others`` are points without a name.
    """
    figure = axes.get_figure(root=True)
    if figure is None:
        raise ValueError("the axes belong to no figure")
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    renderer: RendererAgg = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    inside, scale = axes.get_window_extent(renderer), figure.dpi / 72
    spots = [axes.transData.transform(point[:2]) for point in points]
    marks = [*spots, *(axes.transData.transform(point) for point in others)]
    taken = [Bbox.from_bounds(x - 4.5 * scale, y - 4.5 * scale, 9 * scale, 9 * scale) for x, y in marks]
    taken += [patch.get_window_extent(renderer).padded(scale) for patch in [axes.get_legend()] if patch is not None]
    strokes = [line.get_window_extent(renderer).padded(scale) for line in axes.lines]
    for (x, y), (at_x, at_y, name) in sorted(zip(spots, points, strict=True), key=lambda s: (-s[0][1], s[0][0])):
        text = axes.annotate(
            "\n".join(wrapped(short(name, 48), 24)), (at_x, at_y), textcoords="offset points",
            xytext=(0, 0), size=8, ha="center", va="center", zorder=5, linespacing=1.0,
            path_effects=[withStroke(linewidth=2.2, foreground=PAPER)],
        )  # fmt: skip
        size = text.get_window_extent(renderer)
        places = _places(x, y, size.width + 4 * scale, size.height + 3 * scale, scale)
        box, _ = min(((box, _cost(box, near, inside, taken, strokes)) for box, near in places), key=lambda p: p[1])
        offset = ((box.x0 + box.x1) / 2 - x) / scale, ((box.y0 + box.y1) / 2 - y) / scale
        text.set_position(offset)
        taken.append(box)
        if math.hypot(max(abs(offset[0]) - box.width / 2 / scale, 0), abs(offset[1]) - box.height / 2 / scale) > 11:
            text.arrow_patch = None
            axes.annotate(
                "", (at_x, at_y), _edge(offset, box.width / scale, box.height / scale), textcoords="offset points",
                arrowprops={"arrowstyle": "-", "color": MUTED, "lw": 0.6, "shrinkA": 0, "shrinkB": 4}, zorder=2.5,
            )  # fmt: skip


def _places(x: float, y: float, width: float, height: float, scale: float) -> Iterable[tuple[Bbox, float]]:
    """Boxes around a point with their distances in points, the nearest first, right and left before above and below."""
    for gap in (6, 9, 14, 20, 28, 38, 50, 64, 80, 100, 125, 155, 190):
        for turn in range(24):
            angle = turn * math.tau / 24
            dx, dy = math.cos(angle), math.sin(angle)
            mid_x = x + dx * (gap * scale + width / 2)
            mid_y = y + dy * (gap * scale + height / 2)
            preference = 0 if dx > 0.99 else 1 if dx < -0.99 else 2 + abs(dy)
            yield Bbox.from_bounds(mid_x - width / 2, mid_y - height / 2, width, height), gap + preference


def _cost(box: Bbox, near: float, inside: Bbox, taken: Sequence[Bbox], strokes: Sequence[Bbox]) -> float:
    """The cost of a place: its distance, a little for crossing an interval, much for covering a mark or an edge."""
    covered = sum(box.overlaps(other) for other in taken)
    outside = box.x0 < inside.x0 or box.x1 > inside.x1 or box.y0 < inside.y0 or box.y1 > inside.y1
    return float(near + 12 * sum(box.overlaps(stroke) for stroke in strokes) + 1000 * covered + 5000 * outside)


def _edge(offset: tuple[float, float], width: float, height: float) -> tuple[float, float]:
    """The point of a label's box that is nearest to its mark; lengths in points of print."""
    x, y = offset
    return min(max(0.0, x - width / 2), x + width / 2), min(max(0.0, y - height / 2), y + height / 2)
