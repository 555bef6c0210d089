"""Sections that every report has: accuracy, its trade-off with cost, latency ratios, and learning curves."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from vitbench import plots
from vitbench.plots.style import LOG_FROM
from vitbench.report.elements import Section, prose, span
from vitbench.tables.columns import column
from vitbench.tables.compare import noise_floor
from vitbench.tables.frames import accuracy_seeds, learning_curves
from vitbench.tables.model_families import full_data_variants
from vitbench.tables.study import Study
from vitbench.utils.format import percent

ACCURACY = """
    Each faint dot is one seed ({seeds} a variant), the outlined mark is the mean and the bar its 95% t interval over
    seeds; the dashed line is the baseline's mean. Overlapping intervals do not mean equal accuracy, because the
    verdicts in the results table compare seed by seed."""
TRADEOFF = "Up is more accurate, left is cheaper. {bars}; the larger mark is the baseline.{scale}"
RATIOS = """
    Latency divided by the baseline's over {blocks} blocks of an interleaved session, with the interval at the level
    that Holm's procedure tested. Filled marks have a verdict, faster (blue) or slower (orange); hollow marks have
    none."""
BAND = """
    The grey band is the A/A control: the 99% interval [{low:.3f}, {high:.3f}] of the baseline's clone in the same
    session."""
CURVES = """
    Validation accuracy after each epoch: thin lines are seeds, the thick line is their mean, the dashed line the
    baseline's mean. Nothing is selected by these curves."""
INTERVALS = "the results table has their intervals"


def sections(study: Study, table: pd.DataFrame, compared: pd.DataFrame) -> Iterator[Section]:
    """Accuracy, accuracy against latency and MACs, and latency relative to the baseline."""
    scored = table[table["accuracy"].notna()]
    if len(scored):
        yield _accuracy(study, table, scored)
    own = {v.name for v in full_data_variants(study)}  # the number of training images does not change a model's cost
    models = table[table["variant"].isin(own)]
    for cost, name in (("latency_ms", "accuracy_latency"), ("macs", "accuracy_macs")):
        shown = scored[scored[cost].notna() & scored["variant"].isin(own)]
        if len(shown) > 1:
            yield _tradeoff(study, models, shown, cost, name)
    ratios = compared[(compared["metric"] == "latency_ms") & compared["variant"].isin(own)]
    if ratios["value"].notna().any():
        yield _ratios(study, models, ratios)


def curves(study: Study, table: pd.DataFrame) -> Iterator[Section]:
    """The learning curves."""
    found = learning_curves(study)
    if len(found):
        drawn = [v for v in table["variant"] if v in set(found["variant"])]
        yield Section(
            name="learning_curves",
            title="Learning curves",
            caption=prose(CURVES),
            alt=f"Validation accuracy by epoch of {len(drawn)} variants, one small plot each.",
            figure=plots.learning_curves(found, variants=drawn, baseline=study.baseline),
        )


def _accuracy(study: Study, table: pd.DataFrame, scored: pd.DataFrame) -> Section:
    seeds = accuracy_seeds(study)
    low, high = _extremes(scored, "accuracy")
    ends = f"Highest: {high[0]}, {percent(high[1])}%; lowest: {low[0]}, {percent(low[1])}%; {INTERVALS}."
    return Section(
        name="accuracy",
        title="Accuracy by variant",
        caption=prose(ACCURACY).format(seeds=span(seeds.groupby("variant").size())),
        alt=f"Test accuracy of {len(scored)} variants: every seed, mean and interval. {ends}",
        figure=plots.accuracy(
            table, seeds, baseline=study.baseline, chance=(study.plan.get("data") or {}).get("chance")
        ),
    )


def _tradeoff(study: Study, table: pd.DataFrame, shown: pd.DataFrame, cost: str, name: str) -> Section:
    timed = cost == "latency_ms"
    title = "Accuracy against latency" if timed else "Accuracy against MACs"
    call = f"Latency of one call with {span(table['batch_size'].dropna())} images (ms)"
    bars = "Bars are 95% intervals of both" if timed else "Bars are 95% intervals of accuracy; MACs are exact"
    scale = " The horizontal axis is logarithmic." if shown[cost].max() > LOG_FROM * shown[cost].min() else ""
    low, high = _extremes(shown, cost)
    show = column(cost).show
    ends = f"Lowest cost: {low[0]}, {show(low[1])}; highest: {high[0]}, {show(high[1])}{f'; {INTERVALS}' * timed}."
    return Section(
        name=name,
        title=title,
        caption=TRADEOFF.format(bars=bars, scale=scale),
        alt=f"{title} of {len(shown)} variants. {ends}",
        figure=plots.tradeoff(table, cost, label=call if timed else "MACs per image", baseline=study.baseline),
    )


def _ratios(study: Study, table: pd.DataFrame, ratios: pd.DataFrame) -> Section:
    noise = noise_floor(study)
    band = " " + prose(BAND).format(low=noise.low, high=noise.high) if noise else ""
    count = int(ratios["value"].notna().sum())
    return Section(
        name="latency_ratio",
        title="Latency ratio",
        caption=prose(RATIOS).format(blocks=span(ratios["n"][ratios["n"] > 0])) + band,
        alt=f"Latency of {count} variants relative to {study.baseline}; the table of comparisons has the numbers.",
        figure=plots.latency_ratios(
            ratios,
            variants=list(table["variant"]),
            baseline=study.baseline,
            noise=(noise.low, noise.high) if noise else None,
        ),
    )


def _extremes(rows: pd.DataFrame, field: str) -> list[tuple[str, float]]:
    """(variant, value) of the lowest and of the highest."""
    ordered = rows.sort_values(field, kind="stable").iloc[[0, -1]]
    return [(str(variant), float(value)) for variant, value in zip(ordered["variant"], ordered[field], strict=True)]
