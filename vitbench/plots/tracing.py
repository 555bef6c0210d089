"""Figures of a trace: what each block of a model takes, and how memory rises and falls over a step."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from vitbench.plots import style
from vitbench.plots.style import INK, MUTED, PAPER, SWATCHES, WIDTH

HATCH = "////"
"""Of the backward pass, so that colour does not say alone what is what."""


def block_times(blocks: pd.DataFrame) -> Figure:
    """A bar a block, first on top, its share of the step beside it; in training forward and backward end to end.

    Args:
        blocks: ``name, forward_ms, backward_ms, share``.
    """
    with style.figure_style():
        figure, axes = style.rows(list(blocks["name"]), least=0.24)
        backward = bool((blocks["backward_ms"] > 0).any())
        at = range(len(blocks))
        axes.barh(at, blocks["forward_ms"], height=0.66, color=SWATCHES[0], zorder=2)
        if backward:
            axes.barh(
                at, blocks["backward_ms"], left=blocks["forward_ms"], height=0.66, color=SWATCHES[4],
                edgecolor=PAPER, lw=0, hatch=HATCH, zorder=2,
            )  # fmt: skip
            handles = [Patch(color=SWATCHES[0], label="forward")]
            handles += [Patch(facecolor=SWATCHES[4], edgecolor=PAPER, hatch=HATCH, label="backward")]
            axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
        for row, share in enumerate(blocks["share"]):
            style.margin_note(axes, row, f"{100 * share:.1f}%")
        axes.set_xlim(left=0)
        axes.set(xlabel="Under the profiler, mean over the recorded steps (ms)", ylabel="")
    return figure


def memory_timeline(
    levels: pd.DataFrame, *, peak_mib: float, held_mib: float | None, phases: pd.DataFrame | None = None
) -> Figure:
    """Memory over one step as stairs, with its peak, what the model itself holds, and the phases of a training step.

    Args:
        levels: ``ms, mib``: from then on so much.
        peak_mib: the highest.
        held_mib: what was there before the step; None: not known apart.
        phases: ``name, from_ms, to_ms``, named above where there are several.
    """
    with style.figure_style():
        figure = Figure(figsize=(WIDTH, 3.0), layout="constrained")
        axes = figure.subplots()
        axes.fill_between(levels["ms"], levels["mib"], step="post", color=SWATCHES[0], alpha=0.25, lw=0, zorder=1)
        axes.step(levels["ms"], levels["mib"], where="post", color=SWATCHES[0], lw=1.1, zorder=3)
        last = float(levels["ms"].iloc[-1])
        if held_mib is not None:
            axes.axhline(held_mib, color=MUTED, lw=1, ls=(0, (4, 3)), zorder=2)
            axes.annotate(
                f"held before the step: {held_mib:,.1f}", (last, held_mib), (0, -3), textcoords="offset points",
                ha="right", va="top", color=MUTED, size=8,
            )  # fmt: skip
        top = levels.iloc[int(levels["mib"].argmax())]
        axes.plot(top["ms"], top["mib"], "o", color=SWATCHES[0], mec=INK, ms=5, zorder=4)
        late = top["ms"] > last / 2
        axes.annotate(
            f"peak {peak_mib:,.1f}", (top["ms"], top["mib"]), (-7 if late else 7, 4), textcoords="offset points",
            ha="right" if late else "left", color=INK,
        )  # fmt: skip
        axes.set_xlim(0, last)
        axes.set_ylim(0, 1.14 * peak_mib)
        if phases is not None and len(phases) > 1:
            for phase in phases.to_dict("records"):
                axes.axvline(phase["from_ms"], color=MUTED, lw=0.7, ls=":", zorder=2)
                if phase["to_ms"] - phase["from_ms"] > 0.06 * last:
                    middle = (phase["from_ms"] + phase["to_ms"]) / 2
                    axes.annotate(
                        phase["name"], (middle, 1), (0, 3), xycoords=("data", "axes fraction"),
                        textcoords="offset points", ha="center", color=MUTED, size=8,
                    )  # fmt: skip
        axes.set(xlabel="From the start of the step, under the profiler (ms)", ylabel="Tensors (MiB)")
    return figure
