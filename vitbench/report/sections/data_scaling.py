"""The section on data scaling: accuracy against the number of training images, power laws, and crossovers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from vitbench import plots, stats
from vitbench.report import cells
from vitbench.report.cells import Cell
from vitbench.report.elements import Columns, Name, Phrase, Section, Table, names, prose, span
from vitbench.tables.compare import settings_of
from vitbench.tables.data_scaling import DataCurve, curve_pairs, data_curves, lines, misses, points, size_by_size
from vitbench.tables.model_families import representatives
from vitbench.tables.study import Study
from vitbench.utils.format import percent, significant
from vitbench.utils.format import points as signed

DRAWN = 6
"""Curves that the colours of a figure tell apart."""

CAPTION = """
    Test accuracy by number of training images: a faint dot is a seed, the outlined mark their mean, and a smaller
    subset of one seed lies inside a larger one. The line is the power law error = a·n⁻ᵇ + c with its 95% bootstrap band
    over seeds ({fitted} models have the four sizes that a fit needs); dashed lines join means without a fit."""
LAWS = """
    error = a·n⁻ᵇ + c by weighted least squares, with 95% intervals of a bootstrap over {seeds} seeds: b is how fast the
    error falls, c the error that remains with unlimited images. Misses are the sizes where the law lies outside the
    interval of the mean (95% for all sizes together); a model with misses does not follow a power law."""
CROSSOVERS = """
    The number of images from which on the fitted curve of the first model is at least as accurate as that of the
    second, with its 95% interval of a bootstrap over {seeds} seeds; no extrapolation beyond the measured sizes."""
PAIRS = """
    {first} against {second}, the best of each family on the validation split: means over seeds (no interval), and their
    difference seed by seed. Holm's procedure covers all sizes."""


@dataclass(frozen=True)
class Crossover:
    """Where the first of two fitted curves overtakes the second; ``size`` is in words if there is no such size."""

    first: DataCurve
    second: DataCurve
    size: str
    interval: str

    @property
    def sentence(self) -> Phrase:
        """The crossover in words."""
        return (
            Name(self.first.name), " is at least as accurate as ", Name(self.second.name),
            f" from {self.size} images on {self.interval}." if self.size.isdigit() else f": {self.size} images "
            f"({self.interval}).",
        )  # fmt: skip


def sections(study: Study) -> Iterator[Section]:
    """Data scaling, where an axis varies the number of training images."""
    curves = data_curves(study)
    if not curves:
        return
    drawn = curves[:DRAWN]
    base = next(v.family for v in study.variants if v.is_baseline)
    best = set(representatives(study).values())
    pairs = curve_pairs(curves, base)
    chosen = [pair for pair in pairs if all(curve.variants[-1] in best for curve in pair)]
    least = min(len(own) for curve in curves for own in curve.seeds)
    sizes = sorted({size for curve in curves for size in curve.images})
    caption = [prose(CAPTION).format(fitted=f"{sum(curve.law is not None for curve in curves)} of {len(curves)}")]
    caption += [f"Shown: the first {DRAWN} of {len(curves)} models."] * (len(curves) > DRAWN)
    tables = [_laws(curves)] if any(curve.law for curve in curves) else []
    crossovers = [found for pair in pairs[:DRAWN] if (found := _crossover(*pair))]
    if crossovers:
        tables.append(_crossovers(crossovers))
    yield Section(
        name="data_size",
        title="Data scaling",
        caption=" ".join(caption),
        alt=f"Test accuracy of {len(drawn)} models trained on {sizes[0]} to {sizes[-1]} images, every seed a dot.",
        figure=plots.data_sizes(points(drawn), lines(drawn), chance=(study.plan.get("data") or {}).get("chance")),
        tables=[*tables, *(table for pair in chosen if (table := _pair(study, *pair)))],
        answer=_answer(curves, chosen) if least >= settings_of(study, "accuracy").minimum else [],
    )


def _answer(curves: Sequence[DataCurve], chosen: Sequence[tuple[DataCurve, DataCurve]]) -> list[Phrase]:
    """The crossovers of the families' best models, and the models that follow no power law."""
    told = [found.sentence for pair in chosen if (found := _crossover(*pair))]
    bent = [curve.name for curve in curves if misses(curve)]
    return [*told, *([("The error of ", *names(bent), " does not follow a power law.")] if told and bent else [])]


def _crossover(first: DataCurve, second: DataCurve) -> Crossover | None:
    """The crossover of two fitted curves; None where they share no range of sizes."""
    low, high = max(first.images[0], second.images[0]), min(first.images[-1], second.images[-1])
    if first.law is None or second.law is None or low >= high:
        return None
    found = stats.crossover(first.law, second.law)
    if isinstance(found, str):
        at = low if found.startswith("ahead") else high
        share = f"ahead in {100 * stats.ahead_share(first.law, second.law, at):.0f}% of the draws"
        return Crossover(first, second, found.removesuffix(" on"), share)
    end = f"{found.high:.0f}" if not math.isinf(found.high) else f"beyond {high}"
    return Crossover(first, second, f"{found.value:.0f}", f"[{found.low:.0f}, {end}]")


def _crossovers(found: Sequence[Crossover]) -> Table:
    columns: Columns = {
        "Variant": lambda row: cells.name(row.first.name),
        "Overtakes": lambda row: cells.name(row.second.name),
        "Crossover (images)": lambda row: Cell(row.size, row.interval),
    }
    laws = [curve.law for one in found for curve in (one.first, one.second) if curve.law]
    return Table.of("Crossovers", found, columns, CROSSOVERS.format(seeds=span(law.a.n for law in laws)))


def _laws(curves: Sequence[DataCurve]) -> Table:
    def parameter(letter: str, curve: DataCurve) -> Cell:
        if curve.law is None:
            return cells.NOTHING
        if letter == "b" and curve.law.a.low <= 0:
            return Cell(cells.NOTHING.text, "not above 0")  # without a fall there is no exponent
        found: stats.Interval = getattr(curve.law, letter)
        return cells.estimate(found.value, found.low, found.high, percent if letter == "c" else significant)

    def missed(curve: DataCurve) -> Cell:
        sizes = " ".join(map(str, misses(curve)))
        return Cell(sizes or "none", tone="bad" if sizes else "") if curve.law else cells.NOTHING

    columns: Columns = {
        "Variant": lambda curve: cells.name(curve.name),
        "Family": lambda curve: cells.words(curve.family),
        "Training images": lambda curve: Cell(" ".join(map(str, curve.images))),
        "b": partial(parameter, "b"),
        "a": partial(parameter, "a"),
        "c (%)": partial(parameter, "c"),
        "Misses": missed,
    }
    seeds = span(len(own) for curve in curves if curve.law for own in curve.seeds)
    return Table.of("Power laws", curves, columns, LAWS.format(seeds=seeds))


def _pair(study: Study, first: DataCurve, second: DataCurve) -> Table | None:
    found = size_by_size(study, first, second)
    if not len(found):
        return None
    columns: Columns = {
        "Training images": lambda row: cells.number(row["images"]),
        f"{first.name} (%)": lambda row: cells.number(row["first"], percent),
        f"{second.name} (%)": lambda row: cells.number(row["second"], percent),
        "Difference (points)": lambda row: cells.estimate(row["value"], row["low"], row["high"], signed),
        "Seeds": lambda row: cells.number(row["n"]),
        "Verdict": cells.judged,
    }
    title = f"{first.name} against {second.name}"
    return Table.of(title, found.to_dict("records"), columns, prose(PAIRS).format(first=first.name, second=second.name))
