"""How much data: accuracy against the number of training images, and from where on which family is ahead."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from vitbench import plots, stats
from vitbench.report.phrases import Name, Phrase, names, span
from vitbench.report.section import Picture, prose
from vitbench.report.text_tables import Cell, Grid, bracket, make, tone
from vitbench.tables.compare import settings_of
from vitbench.tables.data_scaling import DataCurve, data_curves, lines, misses, points, rivals, size_by_size
from vitbench.tables.model_families import representatives
from vitbench.tables.study import Study
from vitbench.utils.format import MISSING, percent, significant
from vitbench.utils.format import points as signed

DRAWN = 6
"""Curves that a picture's colours tell apart."""

CAPTION = """
    Test accuracy after training on so many images; validation and test split stay whole. For one seed a smaller subset
    lies inside a larger one. A faint dot is a seed, the outlined mark their mean. The line is the power law
    error = a·n⁻ᵇ + c through the means, its band the 95% interval of a bootstrap over seeds; a dashed line joins means
    where there are too few sizes for a fit ({fitted} are fitted from four sizes on). Nothing is drawn beyond the sizes
    that were measured."""
LAWS = """
    error = a·n⁻ᵇ + c, fitted by weighted least squares with a and c not under 0; brackets are 95% intervals of a
    bootstrap over {seeds} seeds. b says how fast the error falls: with b = 1, twice the images halve what lies
    above c. It has no value where a's interval reaches down to 0. c is what more images of this kind would leave;
    its interval is wide where the largest size is still far from it. Misses: the sizes at which the law lies
    outside the interval of the seeds' mean (95% for all sizes together). Where there are any, the error does not
    fall as a power law, and what is said by it is no better than the law."""
PAIRS = """
    {first} against {second}, each the best of its family on the validation split: means over seeds (no interval), and
    their difference, seed by seed at each size, all sizes one family under Holm."""


def draw(study: Study) -> Iterator[Picture]:
    """One part, where an axis varies the number of training images."""
    curves = data_curves(study)
    if not curves:
        return
    drawn = curves[:DRAWN]
    more = f" Of {len(curves)} models the first {DRAWN} are drawn." if len(curves) > DRAWN else ""
    base = next(v.family for v in study.variants if v.is_baseline)
    best = set(representatives(study).values())
    pairs = rivals(curves, base)
    chosen = [pair for pair in pairs if all(curve.variants[-1] in best for curve in pair)]
    crossings = [sentence for pair in pairs[:DRAWN] if (sentence := _crossing(*pair))]
    bent = [curve.name for curve in curves if misses(curve)]
    care: list[Phrase] = []
    if bent:
        care = [("The error of ", *names(bent), " does not fall as a power law: see the table.")]
    least = min(len(own) for curve in curves for own in curve.seeds)
    enough = least >= settings_of(study, "accuracy").minimum
    if not enough and crossings:
        care.append((f"Exploratory: {least} seed{'s' * (least != 1)} at a size.",))
    short = [sentence for pair in chosen if (sentence := _crossing(*pair))]
    grids = [_laws(curves)] if any(curve.law for curve in curves) else []
    grids += [grid for pair in chosen if (grid := _pair(study, *pair))]
    sizes = sorted({size for curve in curves for size in curve.images})
    fitted = sum(curve.law is not None for curve in curves)
    yield Picture(
        name="data_size",
        title="How much data",
        caption=prose(CAPTION).format(fitted=f"{fitted} of {len(curves)}") + more,
        alt=f"Test accuracy of {len(drawn)} models trained on {sizes[0]} to {sizes[-1]} images, every seed a dot.",
        figure=plots.data_sizes(points(drawn), lines(drawn), chance=(study.plan.get("data") or {}).get("chance")),
        words=[*crossings, *care],
        grids=grids,
        answer=[*short, *care] if short and enough else [],
    )


def _crossing(first: DataCurve, second: DataCurve) -> Phrase:
    """From how many images on the first is at least as accurate as the second, by the fitted curves."""
    if first.law is None or second.law is None:
        return ()
    if max(first.images[0], second.images[0]) >= min(first.images[-1], second.images[-1]):
        return ()
    found = stats.crossover(first.law, second.law)
    event = (Name(first.name), " overtakes ", Name(second.name))
    last = min(first.images[-1], second.images[-1])
    if isinstance(found, str):
        if found.startswith("ahead"):
            smallest = max(first.images[0], second.images[0])
            share = f"{100 * stats.ahead_share(first.law, second.law, smallest):.0f}% of the bootstrap's draws"
            return (Name(first.name), " is at least as accurate as ", Name(second.name),
                    f" from the smallest size on, {smallest} images (fitted curves; there in {share}).")  # fmt: skip
        share = f"{100 * stats.ahead_share(first.law, second.law, last):.0f}% of the bootstrap's draws"
        return (
            "The size from which on ",
            *event,
            f" was {found} images (fitted curves; there it is ahead in {share}).",
        )
    high = f"{found.high:.0f}" if not math.isinf(found.high) else f"beyond {last}"
    bounds = f"[{found.low:.0f}, {high}]"
    return (*event, f" at {found.value:.0f} images {bounds} (95% interval of a bootstrap over {found.n} seeds).")


def _laws(curves: Sequence[DataCurve]) -> Grid:
    rows = []
    for curve in curves:
        law = curve.law
        cells = [Cell(MISSING)] * 3
        if law is not None:
            cells = [
                Cell(significant(law.b.value), bracket(law.b.low, law.b.high, significant))
                if law.a.low > 0
                else Cell(MISSING, "no fall is shown"),
                Cell(significant(law.a.value), bracket(law.a.low, law.a.high, significant)),
                Cell(percent(law.c.value), bracket(law.c.low, law.c.high, percent)),
            ]
        missed = misses(curve)
        lost = Cell(" ".join(map(str, missed)) or "none", tone="bad" if missed else "") if law else Cell(MISSING)
        sizes = " ".join(map(str, curve.images))
        rows.append([Cell(curve.name, name=True), Cell(curve.family), Cell(sizes), *cells, lost])
    heads = ["Variant", "Family", "Training images", "b", "a", "c (%)", "Misses"]
    seeds = span(len(own) for curve in curves if curve.law for own in curve.seeds)
    return make("Power laws", heads, rows, prose(LAWS).format(seeds=seeds))


def _pair(study: Study, first: DataCurve, second: DataCurve) -> Grid | None:
    found = size_by_size(study, first, second)
    if not len(found):
        return None
    rows = [
        [
            Cell(str(row["images"])), Cell(percent(row["first"])), Cell(percent(row["second"])),
            Cell(signed(row["value"]), bracket(row["low"], row["high"], signed)), Cell(str(row["n"])),
            Cell(row["verdict"], tone=tone(row["kind"])),
        ]
        for row in found.to_dict("records")
    ]  # fmt: skip
    heads = ["Training images", f"{first.name} (%)", f"{second.name} (%)", "Difference (points)", "Seeds", "Verdict"]
    caption = prose(PAIRS).format(first=first.name, second=second.name)
    return make(f"{first.name} against {second.name}", heads, rows, caption)
