"""Figures of a trace: the time of each block, and memory over a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from vitbench.plots import style
from vitbench.plots.style import INK, MUTED, PAPER, SWATCHES, WIDTH

HATCH = "////"
"""Of the backward pass, so that it differs from the forward pass by more than its colour."""
MIB = 2**20


def draw(blocks: Sequence[Mapping[str, Any]], memory: Mapping[str, Any] | None, folder: Path) -> None:
    """Writes ``blocks`` and ``memory`` as .svg and .png; removes an earlier figure that has no data now.

    Args:
        blocks: ``Summary.blocks``.
        memory: ``Summary.memory``.
        folder: of the trace.
    """
    figures = {"blocks": block_times(blocks) if blocks else None, "memory": memory_timeline(memory) if memory else None}
    for name, figure in figures.items():
        if figure is not None:
            style.save(figure, folder / name)
            continue
        for suffix in (".svg", ".png"):
            (folder / f"{name}{suffix}").unlink(missing_ok=True)


def block_times(blocks: Sequence[Mapping[str, Any]]) -> Figure:
    """One bar a block, forward and backward end to end, with its share of the step; the first block on top."""
    names, forward, backward = ([row[key] for row in blocks] for key in ("name", "forward_ms", "backward_ms"))
    at = range(len(blocks))
    with style.figure_style():
        figure, axes = style.rows(names, least=0.24)
        axes.barh(at, forward, height=0.66, color=SWATCHES[0], zorder=2)
        if any(backward):
            hatched: dict[str, Any] = {"edgecolor": PAPER, "lw": 0, "hatch": HATCH}
            axes.barh(at, backward, left=forward, height=0.66, color=SWATCHES[4], zorder=2, **hatched)
            handles = [Patch(color=SWATCHES[0], label="forward"), Patch(fc=SWATCHES[4], label="backward", **hatched)]
            axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
        for number, row in enumerate(blocks):
            style.margin_note(axes, number, f"{100 * row['share']:.1f}%")
        axes.set_xlim(left=0)
        axes.set(xlabel="Under the profiler, mean over the recorded steps (ms)", ylabel="")
    return figure


def memory_timeline(memory: Mapping[str, Any]) -> Figure:
    """Memory over one step as stairs, with its peak, the memory held before the step, and the phases of training."""
    at, mib = [ms for ms, _ in memory["timeline"]], [level / MIB for _, level in memory["timeline"]]
    peak, held, last = memory["peak"] / MIB, memory["held"] / MIB, at[-1]
    with style.figure_style():
        figure = Figure(figsize=(WIDTH, 3.0), layout="constrained")
        axes = figure.subplots()
        axes.fill_between(at, mib, step="post", color=SWATCHES[0], alpha=0.25, lw=0, zorder=1)
        axes.step(at, mib, where="post", color=SWATCHES[0], lw=1.1, zorder=3)
        axes.axhline(held, color=MUTED, lw=1, ls=(0, (4, 3)), zorder=2)
        axes.annotate(
            f"held before the step: {held:,.1f}", (last, held), (0, -3), textcoords="offset points",
            ha="right", va="top", color=MUTED, size=8,
        )  # fmt: skip
        top = mib.index(max(mib))
        late = at[top] > last / 2
        axes.plot(at[top], mib[top], "o", color=SWATCHES[0], mec=INK, ms=5, zorder=4)
        axes.annotate(
            f"peak {peak:,.1f}", (at[top], mib[top]), (-7 if late else 7, 4), textcoords="offset points",
            ha="right" if late else "left", color=INK,
        )  # fmt: skip
        axes.set_xlim(0, last)
        axes.set_ylim(0, 1.14 * peak)
        for name, start, end in memory["phases"] if len(memory["phases"]) > 1 else ():
            axes.axvline(start, color=MUTED, lw=0.7, ls=":", zorder=2)
            if end - start > 0.06 * last:
                axes.annotate(
                    name, ((start + end) / 2, 1), (0, 3), xycoords=("data", "axes fraction"),
                    textcoords="offset points", ha="center", color=MUTED, size=8,
                )  # fmt: skip
        axes.set(xlabel="From the start of the step, under the profiler (ms)", ylabel="Tensors (MiB)")
    return figure
