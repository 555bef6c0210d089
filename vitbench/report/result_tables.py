"""The report's main tables: results, costs, all comparisons, and accuracy by seed."""

from __future__ import annotations

from functools import partial

import pandas as pd

from vitbench.report import cells
from vitbench.report.cells import Cell, Row
from vitbench.report.elements import PLURAL, Columns, Table, span
from vitbench.report.methods import throughput_note
from vitbench.tables.columns import column
from vitbench.tables.frames import BASELINE, accuracy_seeds, timings
from vitbench.tables.study import Study
from vitbench.tables.timing_units import unit_of
from vitbench.utils.format import absent, percent, points, ratio, significant

VERDICTS = {"accuracy": "Accuracy vs baseline", "latency_ms": "Latency vs baseline"}
"""Metric → the heading of its verdicts."""

RESULTS = """
    Accuracy is the mean over seeds on the test split. Latency is the median call of a block at the batch size under
    Scope, averaged over {blocks} {units}. Brackets beside a number are its 95% interval; brackets in a verdict are the
    interval at the level that Holm's procedure tested."""
COSTS = (
    "Parameters, MACs, FLOPs and activations are counted and memory is modelled: these are exact and need no interval."
)
COMPARISONS = """
    Holm's procedure covers all variants of one quantity. It sets the level of each test, and the interval has the same
    level, so interval and verdict always agree. The p values are unadjusted. The sign-flip p is a distribution-free
    check and decides nothing."""
SEEDS = "Test accuracy in percent after the last epoch, for every seed."


def results(table: pd.DataFrame, compared: pd.DataFrame, *, baseline: str, unit: str = "block") -> Table:
    """Accuracy and latency of each variant, with intervals and verdicts; ``unit`` is that of a timing."""
    known = {(row["metric"], row["variant"]): row for row in compared.to_dict("records")}

    def against(metric: str, row: Row) -> Cell:
        if row["status"] == "skipped" or row["variant"] == baseline:
            return cells.verdict("skipped" if row["status"] == "skipped" else BASELINE)
        found = known.get((metric, row["variant"]))
        return cells.judged(found) if found else cells.NOTHING

    families: Columns = {"Family": lambda row: cells.words(row["family"])} if len(set(table["family"])) > 1 else {}
    columns: Columns = {
        "Variant": lambda row: cells.name(row["variant"]),
        **families,
        column("accuracy").title: lambda row: cells.measured(row, "accuracy"),
        VERDICTS["accuracy"]: partial(against, "accuracy"),
        column("latency_ms").title: lambda row: cells.measured(row, "latency_ms"),
        VERDICTS["latency_ms"]: partial(against, "latency_ms"),
        "Seeds": lambda row: cells.number(row["seeds"]),
    }
    blocks = compared["n"][(compared["metric"] == "latency_ms") & (compared["n"] > 0)]
    caption = RESULTS.format(blocks=span(blocks) or "all", units=PLURAL[unit])
    return Table.of("Results", table.to_dict("records"), columns, caption)


def costs(study: Study, table: pd.DataFrame) -> Table:
    """The costs that are counted or modelled, and those that are timed apart from the comparison."""
    steps = {row["variant"]: row for row in timings(study, "train_step_ms").to_dict("records")}
    fields = ["params", "macs", "flops", "activations"]
    fields += ["peak_memory_inference_mib", "peak_memory_training_mib", "throughput_img_s"]
    fields += ["energy_j_per_image"] * ("energy_j_per_image" in table)

    def cost(field: str, row: Row) -> Cell:
        exact = absent(row.get(f"{field}_low"))
        return cells.number(row[field], column(field).show) if exact else cells.measured(row, field)

    def step(row: Row) -> Cell:
        found = steps.get(row["variant"])
        return cells.estimate(found["value"], found["low"], found["high"], significant) if found else cells.NOTHING

    columns: Columns = {
        "Variant": lambda row: cells.name(row["variant"]),
        **{column(field).title: partial(cost, field) for field in fields},
        column("train_step_ms").title: step,
    }
    caption = f"{COSTS} {throughput_note(study)}"
    if steps:
        units = f"{span(s['n'] for s in steps.values())} {PLURAL[unit_of(study, 'train_step')]}"
        caption += f" The training step has its 95% interval over {units} in brackets."
    return Table.of("Costs", table.to_dict("records"), columns, caption)


def all_comparisons(compared: pd.DataFrame, *, timed: str = "block") -> Table:
    """Every comparison with its n, level and p values; ``timed`` is the unit of a timing."""

    def difference(row: Row) -> Cell:
        show = points if row["metric"] == "accuracy" else ratio
        return cells.estimate(row["value"], row["low"], row["high"], show)

    def units(row: Row) -> Cell:
        unit = "seed" if row["metric"] == "accuracy" else timed
        return Cell(f"{row['n']} {unit if row['n'] == 1 else PLURAL[unit]}") if row["n"] else cells.NOTHING

    columns: Columns = {
        "Variant": lambda row: cells.name(row["variant"]),
        "Quantity": lambda row: cells.words("accuracy (points)" if row["metric"] == "accuracy" else "latency (ratio)"),
        "Difference or ratio": difference,
        "Level": lambda row: cells.number(row["level"], lambda level: f"{100 * level:.4g}%"),
        "n": units,
        "p (t)": lambda row: cells.number(row["p"], _p),
        "p (sign flip)": lambda row: cells.number(row["sign_flip_p"], _p),
        "Verdict": cells.judged,
    }
    return Table.of("All comparisons", compared.to_dict("records"), columns, COMPARISONS)


def _p(value: float) -> str:
    return f"{value:.4f}" if value >= 0.0001 else "<0.0001"


def accuracy_by_seed(study: Study) -> Table | None:
    """The accuracy of every seed; None where nothing was trained."""
    samples = accuracy_seeds(study)
    if samples.empty:
        return None
    known = {(row["variant"], row["seed"]): row["accuracy"] for row in samples.to_dict("records")}
    seeds = sorted(set(samples["seed"]))

    def accuracy(seed: int, variant: str) -> Cell:
        return cells.number(known.get((variant, seed)), percent)

    columns: Columns = {"Variant": cells.name, **{f"seed {seed}": partial(accuracy, seed) for seed in seeds}}
    return Table.of("Accuracy by seed", [v.name for v in study.variants], columns, SEEDS)


def terminal(table: pd.DataFrame, compared: pd.DataFrame, *, baseline: str) -> tuple[list[str], list[list[str]]]:
    """The compact table for a terminal: headings, and rows of plain text."""
    found = results(table, compared, baseline=baseline)
    keep = [at for at, head in enumerate(found.heads) if head not in {"Family", "Seeds"}]
    rows = [[" ".join(filter(None, (row[at].text, row[at].small))) for at in keep] for row in found.rows]
    return [found.heads[at] for at in keep], rows
