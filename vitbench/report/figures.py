"""The report's figures: which there are, with caption and a description for those who cannot see them."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import pandas as pd

from vitbench import plots
from vitbench.plots.style import LOG_FROM
from vitbench.report import (
    data_scaling,
    effects,
    matched_pairs,
    model_families,
    roofline,
    shown_variants,
    training_outcomes,
    tuning,
)
from vitbench.report.phrases import span
from vitbench.report.section import Picture, prose
from vitbench.tables.columns import column
from vitbench.tables.compare import noise_floor
from vitbench.tables.effects import Crossed
from vitbench.tables.effects import crossed as crossed_of
from vitbench.tables.frames import accuracy_seeds, attention_distances, learning_curves, position_similarities
from vitbench.tables.model_families import whole
from vitbench.tables.study import Study
from vitbench.utils.format import percent

ACCURACY = """
    Each faint dot is one seed ({seeds} a variant), always at the same height within a row; the outlined mark is the
    mean, the bar its 95% interval (t on seeds). The dashed line is the baseline's mean. Intervals of two rows may
    overlap although their paired difference is clear: the verdicts in the table compare seed by seed."""
TRADEOFF = "Up is more accurate, left is cheaper. {bars}; the larger mark is the baseline.{scale}"
RATIOS = """
    Ratio of latencies over {blocks} blocks of an interleaved session, with the interval at the level that Holm tested.
    Filled: a verdict, faster (blue) or slower (orange); hollow: none."""
BAND = """
    The grey band is what the same session saw between the baseline and its own clone (99% interval {low:.3f} to
    {high:.3f}): so small a difference can come from the measuring itself."""
CURVES = """
    Validation accuracy after each epoch: thin lines are seeds, the thick one their mean, the dashed one the baseline's
    mean. Nothing was chosen by them: every accuracy above is of the test split after the last epoch."""

DISTANCE = """
    How far each head looks, as in figure 7 of the ViT paper: the distance in the image from a patch to the patches that
    it attends to, weighted by attention, averaged over the first {images} validation images after training. Each dot is
    one head of one seed, the line is their mean in each block, the dashed line the baseline's. The dotted line is what
    attending to all patches alike would give: a head below it looks nearby, as a small convolution does, a head above
    it looks away. Dots far apart in one block: its heads look near and far at once."""
SIMILARITY = """
    Position embeddings after training, one seed, as in figure 7 of the ViT paper. The tile in row i and column j is the
    whole grid of patches once more; a cell of it is the lighter, the more that patch's embedding resembles the one of
    patch (i, j) (the cosine of the angle between them; 1 with itself). A light spot that moves with the tile: near
    patches have near embeddings. A light cross: patches of the same row or column do. One light cell alone: the
    embedding tells patches apart and knows no neighbours."""
ELSEWHERE = "the table of results has their intervals"
LOOKED_AT = 64
"""Images that a trial looks at, as ``measure.accuracy`` has it, which imports torch."""

TURNS = "Of rope it compares the turns that it gives to queries and keys, which no training changes."
SOME = "Of a large grid only some patches have a tile: the numbers at its side say which."
ABSENT = "Not shown, because no patch has a vector of its own there, or too many patches do: {names}."


def draw(
    study: Study, table: pd.DataFrame, compared: pd.DataFrame, crossed: Crossed | None = None
) -> Iterator[Picture]:
    """Every figure that has something to show; of very many variants those that ``shown`` names.

    ``crossed``: ``tables.effects.crossed(study)``, where it is known already; its figures are of all variants.
    """
    crossed = crossed_of(study) if crossed is None else crossed
    if crossed is not None:
        yield from effects.draw(crossed.grid, crossed.effects)
    kept = shown_variants.in_figures(study)
    if kept is None:
        yield from _drawn(study, table, compared)
        return
    few, rows, against = study.only(kept), *(frame[frame["variant"].isin(kept)] for frame in (table, compared))
    for picture in _drawn(few, rows.reset_index(drop=True), against):
        yield shown_variants.among(study, picture)


def _drawn(study: Study, table: pd.DataFrame, compared: pd.DataFrame) -> Iterator[Picture]:
    scored = table[table["accuracy"].notna()]
    if len(scored):
        yield _accuracy(study, table, scored)
    own = {v.name for v in whole(study)}  # more images change no model's cost
    for cost, name in (("latency_ms", "accuracy_latency"), ("macs", "accuracy_macs")):
        shown = scored[scored[cost].notna() & scored["variant"].isin(own)]
        if len(shown) > 1:
            yield _tradeoff(study, table[table["variant"].isin(own)], shown, cost, name)
    ratios = compared[(compared["metric"] == "latency_ms") & compared["variant"].isin(own)]
    if ratios["value"].notna().any():
        yield _ratios(study, table[table["variant"].isin(own)], ratios)
    yield from roofline.draw(study)
    curves = learning_curves(study)
    if len(curves):
        drawn = [v for v in table["variant"] if v in set(curves["variant"])]
        yield Picture(
            name="learning_curves",
            title="Learning curves",
            caption=prose(CURVES),
            alt=f"Validation accuracy by epoch of {len(drawn)} variants, one small picture each.",
            figure=plots.learning_curves(curves, variants=drawn, baseline=study.baseline),
        )
    yield from model_families.draw(study, table)
    yield from matched_pairs.draw(study, table)
    yield from tuning.draw(study)
    yield from data_scaling.draw(study)
    yield from training_outcomes.draw(study)
    yield from _attention(study)
    yield from model_families.reach(study)


def _attention(study: Study) -> Iterator[Picture]:
    """What the trained ViTs look at, where the trials kept it."""
    distances = attention_distances(study)
    if len(distances):
        drawn = list(distances["variant"].unique())
        ends = f"from {distances['distance_px'].min():.2g} to {distances['distance_px'].max():.2g} px"
        validation = (study.plan.get("data") or {}).get("num_val", LOOKED_AT)
        yield Picture(
            name="attention_distance",
            title="How far the heads look",
            caption=prose(DISTANCE).format(images=min(LOOKED_AT, validation)),
            alt=f"Mean attention distance by block of {len(drawn)} variants, every head a dot, {ends}.",
            figure=plots.attention_distance(distances, variants=drawn, baseline=study.baseline),
        )
    similarities = position_similarities(study)
    if len(similarities):
        drawn = list(similarities["variant"].unique())
        least = similarities.groupby("variant", sort=False)["similarity"].min()
        yield Picture(
            name="position_similarity",
            title="How alike the positions are",
            caption=" ".join(_similarity_caption(study, similarities, set(distances["variant"]) - set(drawn))),
            alt=f"Cosine similarity of the position embeddings of {len(drawn)} variants, a tile a patch. "
            f"Least similarity: {', '.join(f'{name} {value:.2f}' for name, value in least.items())} (no interval).",
            figure=plots.position_similarity(similarities, variants=drawn),
        )


def _similarity_caption(study: Study, similarities: pd.DataFrame, absent: Collection[str]) -> Iterator[str]:
    """How to read it, and what is particular about what it shows."""
    yield prose(SIMILARITY)
    shown = set(similarities["variant"])
    if any((v.config or {}).get("pos_embed") == "rope" for v in study.variants if v.name in shown):
        yield TURNS
    grids = similarities.groupby("variant")[["row", "column", "other_row", "other_column"]].nunique()
    if (grids["row"] < grids["other_row"]).any() or (grids["column"] < grids["other_column"]).any():
        yield SOME
    if absent:
        yield ABSENT.format(names=", ".join(v.name for v in study.variants if v.name in absent))


def _accuracy(study: Study, table: pd.DataFrame, scored: pd.DataFrame) -> Picture:
    seeds = accuracy_seeds(study)
    best, worst = _extremes(scored, "accuracy")
    ends = f"Highest: {best[0]}, {percent(best[1])}%; lowest: {worst[0]}, {percent(worst[1])}%; {ELSEWHERE}."
    chance = (study.plan.get("data") or {}).get("chance")
    return Picture(
        name="accuracy",
        title="Accuracy by variant",
        caption=prose(ACCURACY).format(seeds=span(seeds.groupby("variant").size())),
        alt=f"Test accuracy of {len(scored)} variants: every seed, mean and interval. {ends}",
        figure=plots.accuracy(table, seeds, baseline=study.baseline, chance=chance),
    )


def _tradeoff(study: Study, table: pd.DataFrame, shown: pd.DataFrame, cost: str, name: str) -> Picture:
    timed = cost == "latency_ms"
    title = "Accuracy against latency" if timed else "Accuracy against MACs"
    call = f"Latency of one call with {span(table['batch_size'].dropna())} images (ms)"
    bars = "Bars are 95% intervals of both" if timed else "Bars are 95% intervals of accuracy; MACs are exact"
    scale = " The horizontal axis is logarithmic." if shown[cost].max() > LOG_FROM * shown[cost].min() else ""
    dear, cheap = _extremes(shown, cost)
    show = column(cost).show
    ends = f"Cheapest: {cheap[0]}, {show(cheap[1])}; dearest: {dear[0]}, {show(dear[1])}{f'; {ELSEWHERE}' * timed}."
    return Picture(
        name=name,
        title=title,
        caption=TRADEOFF.format(bars=bars, scale=scale),
        alt=f"{title} of {len(shown)} variants. {ends}",
        figure=plots.tradeoff(table, cost, label=call if timed else "MACs per image", baseline=study.baseline),
    )


def _ratios(study: Study, table: pd.DataFrame, ratios: pd.DataFrame) -> Picture:
    noise = noise_floor(study)
    band = " " + prose(BAND).format(low=noise.low, high=noise.high) if noise else ""
    count = int(ratios["value"].notna().sum())
    return Picture(
        name="latency_ratio",
        title="Latency relative to the baseline",
        caption=prose(RATIOS).format(blocks=span(ratios["n"][ratios["n"] > 0])) + band,
        alt=f"Latency of {count} variants relative to {study.baseline}; the table of comparisons has the numbers.",
        figure=plots.latency_ratios(
            ratios,
            variants=list(table["variant"]),
            baseline=study.baseline,
            noise=(noise.low, noise.high) if noise else None,
        ),
    )


def _extremes(rows: pd.DataFrame, field: str) -> tuple[tuple[str, float], tuple[str, float]]:
    """(variant, value) of the highest and of the lowest."""
    ordered = rows.sort_values(field, kind="stable")
    high, low = ordered.iloc[-1], ordered.iloc[0]
    return (str(high["variant"]), float(high[field])), (str(low["variant"]), float(low[field]))
