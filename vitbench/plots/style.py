"""How a vitbench figure looks, and where its words go: style, row charts, labels that do not overlap."""

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
"""Text, second text, lines and background: the page maps them to its own colours, light or dark."""

SWATCHES = tuple(str(sns.color_palette("colorblind").as_hex()[i]) for i in (0, 3, 2, 4, 5, 7))
MARKERS = ("o", "s", "^", "D", "v", "P")
WIDTH = 6.6  # inches: the page's column at 96 px an inch
POINT = "point-"  # before the name, in the id of what ``hit`` draws
LOG_FROM = 4  # a cost axis that spans a larger factor is logarithmic

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
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same picture everywhere
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
def style() -> Iterator[None]:
    """Inside it, whatever is made or saved has vitbench's looks, whatever the user's matplotlibrc says."""
    settings: dict[Any, Any] = {k: mpl.rcParamsDefault[k] for k in mpl.rcParamsDefault if not k.startswith("backend")}
    with mpl.rc_context(settings | dict(STYLE)), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a box stands for it; the text beside has the letter
        yield


def save(figure: Figure, stem: Path) -> tuple[Path, Path]:
    """Writes ``stem.svg`` and ``stem.png``; neither holds a date or a version."""
    svg, png = stem.with_name(stem.name + ".svg"), stem.with_name(stem.name + ".png")
    with style():
        figure.savefig(svg, metadata={"Date": None, "Creator": None})
        figure.savefig(png, dpi=200, metadata={"Software": None})
    return svg, png


class Families:
    """Colour and marker of each model family, in order of appearance."""

    def __init__(self, families: Iterable[str]) -> None:
        self.names = list(dict.fromkeys(families))
        self.colours = {name: SWATCHES[i % len(SWATCHES)] for i, name in enumerate(self.names)}
        self.markers = {name: MARKERS[i % len(MARKERS)] for i, name in enumerate(self.names)}


def legend(axes: Axes, families: Families) -> None:
    """Names the families above the axes, where there is more than one."""
    if len(families.names) > 1:
        handles = [
            Line2D([], [], ls="", marker=families.markers[n], color=families.colours[n], mec=INK, label=short(n))
            for n in families.names
        ]
        axes.legend(
            handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderaxespad=0.2, handletextpad=0.2
        )


def wrapped(name: str, width: int) -> list[str]:
    """A name in lines of at most ``width`` characters, broken after a comma if it can be, else after ``=`` or ``_``."""
    lines = [""]
    for part in _pieces(name, ","):
        for piece in [part] if len(part) <= width else _pieces(_pieces(part, "="), "_"):
            if len(lines[-1]) + len(piece) <= width:
                lines[-1] += piece
            else:
                lines += textwrap.wrap(piece, width)
    return [line for line in lines if line] or [""]


def _pieces(text: str | list[str], mark: str) -> list[str]:
    """Cut after every mark; nothing is lost."""
    if isinstance(text, list):
        return [piece for part in text for piece in _pieces(part, mark)]
    return text.replace(mark, mark + "\0").split("\0")


def short(name: str, width: int = 40) -> str:
    """A name on one line, its middle left out where it is too long."""
    name, half = " ".join(name.split()), (width - 1) // 2
    return name if len(name) <= width else f"{name[:half]}…{name[-half:]}"


def rows(names: Sequence[str], least: float = 0.34) -> tuple[Figure, Axes]:
    """A chart with one row a name, first on top, each at least so many inches high."""
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
    """A word in a row that has no numbers."""
    axes.annotate(
        text, (0, row), (6, 0), xycoords=("axes fraction", "data"), textcoords="offset points", va="center",
        color=MUTED, style="italic", bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.5},
    )  # fmt: skip


def margin_note(axes: Axes, row: int, text: str, *, quiet: bool = False) -> None:
    """What stands to the right of a row: its numbers, or (quiet) why it has none."""
    axes.annotate(
        text, (1, row), (8, 0), xycoords=("axes fraction", "data"), textcoords="offset points", va="center",
        color=MUTED if quiet else INK, style="italic" if quiet else "normal", annotation_clip=False,
    )  # fmt: skip


def hundredths(value: float, _: object = None) -> str:
    """A tick: a fraction in per cent."""
    return f"{100 * value:.5g}"


def percent_axis(axis: Axis) -> None:
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
    """The interval of a point, where it has one."""
    if across is not None and not math.isnan(across[0]):
        axes.plot(across, (y, y), "|-", color=colour, lw=width, ms=4 * width, mew=width, zorder=3)
    if up is not None and not math.isnan(up[0]):
        axes.plot((x, x), up, "_-", color=colour, lw=width, ms=4 * width, mew=width, zorder=3)


def hit(axes: Axes, x: float, y: float, name: str, *, of: str = "") -> None:
    """An unseen mark over a point, with its name in its id: so a page knows what the pointer is on.

    ``of`` tells points of one name apart, which stand in several axes of a figure.
    """
    axes.plot(x, y, "o", ms=15, mew=0, color=INK, alpha=0, zorder=6, gid=f"{POINT}{of}:{quote(name, safe='=,')}")


def cost_axis(axes: Axes, values: Sequence[float]) -> None:
    """A horizontal axis for a cost: logarithmic over a wide span, with k, M, G, and never very narrow."""
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
    """A logarithmic horizontal axis with plain numbers: at 1, 2 and 5, and between them on less than a decade."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades >= 1 else (1, 1.5, 2, 3, 4, 5, 6, 8)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def direct_labels(
    axes: Axes, points: Sequence[tuple[float, float, str]], others: Sequence[tuple[float, float]] = ()
) -> None:
    """Writes each point's name beside it: the nearest place that covers no name, no point and no edge.

    The layout is frozen first, since a place found must stay where it was found. ``others`` are points without a name.
    """
    figure = axes.get_figure(root=True)
    if figure is None:
        raise ValueError("the axes stand in no figure")
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
    """Boxes around a point, nearest first, each with its distance in points: right and left before above and below."""
    for gap in (6, 9, 14, 20, 28, 38, 50, 64, 80, 100, 125, 155, 190):
        for turn in range(24):
            angle = turn * math.tau / 24
            dx, dy = math.cos(angle), math.sin(angle)
            mid_x = x + dx * (gap * scale + width / 2)
            mid_y = y + dy * (gap * scale + height / 2)
            preference = 0 if dx > 0.99 else 1 if dx < -0.99 else 2 + abs(dy)
            yield Bbox.from_bounds(mid_x - width / 2, mid_y - height / 2, width, height), gap + preference


def _cost(box: Bbox, near: float, inside: Bbox, taken: Sequence[Bbox], strokes: Sequence[Bbox]) -> float:
    """Distance, plus a little for crossing an interval, plus much for covering something or leaving the axes."""
    covered = sum(box.overlaps(other) for other in taken)
    outside = box.x0 < inside.x0 or box.x1 > inside.x1 or box.y0 < inside.y0 or box.y1 > inside.y1
    return float(near + 12 * sum(box.overlaps(stroke) for stroke in strokes) + 1000 * covered + 5000 * outside)


def _edge(offset: tuple[float, float], width: float, height: float) -> tuple[float, float]:
    """The point of a label's box that is nearest to the point it names; lengths in points of print."""
    x, y = offset
    return min(max(0.0, x - width / 2), x + width / 2), min(max(0.0, y - height / 2), y + height / 2)
