"""The report's tables, as text: which columns stand together, intervals beside their numbers, verdicts in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from vitbench.report.methods import throughput_note
from vitbench.report.phrases import span
from vitbench.tables.columns import Show, column
from vitbench.tables.frames import BASELINE, accuracy_seeds, timings
from vitbench.tables.study import Study
from vitbench.tables.timings import unit_of
from vitbench.utils.format import MISSING, absent, percent, points, ratio, significant

PLURAL = {"seed": "seeds", "block": "blocks", "process": "processes"}
GOOD, BAD = ("better", "faster"), ("worse", "slower", "invalid")
AGAINST = "against the baseline"
AGAINST_SAME, AGAINST_TUNED = "against the same recipe", "against the tuned baseline"
WORDS = {
    "Variant", "Family", "Class", "Quantity", "Verdict", "Accuracy", "Matched by", "Nearest of the baseline's family",
    AGAINST, AGAINST_SAME, AGAINST_TUNED, "Held back by", "Setting", "Against", "With", "Instead of",
}  # fmt: skip
"""Headings of columns that hold words; all others hold numbers, and are set to the right."""

RESULTS = """
    Accuracy: mean over seeds, on the test split. Latency: one call at the batch size under Scope, median of a block,
    mean over {blocks} {units}. Brackets beside a number are its 95% interval; those of a verdict are the
    interval at the level that Holm tested."""
COSTS = "Parameters, MACs, FLOPs and activations are counted and memory is modelled: exact, so no interval."
COMPARISONS = """
    A family is all variants on one quantity. p values are unadjusted; Holm decides at which level each is tested, and
    the interval is shown at that level, so that interval and verdict never disagree. The sign-flip p is a
    distribution-free check that stands beside the t test and decides nothing."""
SEEDS = "Test accuracy in per cent after the last epoch: every seed, none chosen."


@dataclass(frozen=True)
class Cell:
    """A value, its interval in small print, and whether it is good or bad news."""

    text: str
    small: str = ""
    tone: str = ""  # good, bad, or neither
    name: bool = False


@dataclass(frozen=True)
class Grid:
    """A table: its headings (those of numbers are set to the right), rows and caption."""

    title: str
    heads: Sequence[str]
    numeric: Sequence[bool]
    rows: Sequence[Sequence[Cell]]
    caption: str


def make(title: str, heads: Sequence[str], rows: Sequence[Sequence[Cell]], caption: str) -> Grid:
    """A grid whose columns of words are known by their headings."""
    return Grid(title, heads, [head not in WORDS for head in heads], rows, " ".join(caption.split()))


def tone(kind: str) -> str:
    """Whether a verdict is good or bad news, or neither."""
    return "good" if kind in GOOD else "bad" if kind in BAD else ""


def bracket(low: Any, high: Any, show: Show) -> str:
    """An interval in small print, or the words that there is none."""
    return "no interval" if absent(low) or absent(high) else f"[{show(low)}, {show(high)}]"


def _measured(row: Mapping[Any, Any], name: str) -> Cell:
    show = column(name).show
    if absent(row[name]):
        return Cell(MISSING)
    return Cell(show(row[name]), bracket(row[f"{name}_low"], row[f"{name}_high"], show))


def _cost(row: Mapping[Any, Any], name: str) -> Cell:
    """A number, with its interval where it has one."""
    return _measured(row, name) if not absent(row.get(f"{name}_low")) else Cell(column(name).show(row[name]))


def _verdict(row: Mapping[Any, Any] | None, variant: str, baseline: str) -> Cell:
    if variant == baseline:
        return Cell(BASELINE)
    if row is None:
        return Cell(MISSING)
    return Cell(row["verdict"], tone=tone(row["kind"]))


def results(table: pd.DataFrame, compared: pd.DataFrame, *, baseline: str, unit: str = "block") -> Grid:
    """Accuracy and latency of each variant, with intervals and verdicts; ``unit`` is that of a timing."""
    found = {(row["metric"], row["variant"]): row for row in compared.to_dict("records")}
    families = len(set(table["family"])) > 1
    rows = []
    for row in table.to_dict("records"):
        name, skipped = row["variant"], row["status"] == "skipped"
        family = [Cell(row["family"])] if families else []
        quantities = []
        for metric in ("accuracy", "latency_ms"):
            verdict = Cell("skipped") if skipped else _verdict(found.get((metric, name)), name, baseline)
            quantities += [_measured(row, metric), verdict]
        seeds = Cell(MISSING if absent(row["seeds"]) else str(row["seeds"]))
        rows.append([Cell(name, name=True), *family, *quantities, seeds])
    quantity_heads = [column("accuracy").title, AGAINST, column("latency_ms").title, AGAINST]
    counts = compared["n"][(compared["metric"] == "latency_ms") & (compared["n"] > 0)]
    caption = RESULTS.format(blocks=span(counts) or "all", units=PLURAL[unit])
    return make("Results", ["Variant", *["Family"] * families, *quantity_heads, "Seeds"], rows, caption)


def costs(study: Study, table: pd.DataFrame) -> Grid:
    """What is counted, modelled, or timed apart from the comparison."""
    steps = {row["variant"]: row for row in timings(study, "train_step_ms").to_dict("records")}
    names = ["params", "macs", "flops", "activations"]
    names += ["peak_memory_inference_mib", "peak_memory_training_mib", "throughput_img_s"]
    names += ["energy_j_per_image"] * ("energy_j_per_image" in table)
    rows = []
    for row in table.to_dict("records"):
        step = steps.get(row["variant"])
        timed = (
            Cell(significant(step["value"]), bracket(step["low"], step["high"], significant)) if step else Cell(MISSING)
        )
        rows.append([Cell(row["variant"], name=True), *(_cost(row, n) for n in names), timed])
    caption = f"{COSTS} {throughput_note(study)}"
    if steps:
        units = PLURAL[unit_of(study, "train_step")]
        caption += f" Training step: in brackets the 95% interval over {span(s['n'] for s in steps.values())} {units}."
    return make("Costs", ["Variant", *(column(n).title for n in [*names, "train_step_ms"])], rows, caption)


def comparison_grid(compared: pd.DataFrame, *, timed: str = "block") -> Grid:
    """Every comparison with its n, level and p values; ``timed`` is the unit of a timing."""
    rows = []
    for row in compared.to_dict("records"):
        show, quantity, unit = (
            (points, "accuracy (points)", "seed") if row["metric"] == "accuracy" else (ratio, "latency (ratio)", timed)
        )
        interval = "" if absent(row["value"]) else bracket(row["low"], row["high"], show)
        cells = [
            Cell(row["variant"], name=True),
            Cell(quantity),
            Cell(show(row["value"]), interval),
            Cell(MISSING if absent(row["level"]) else f"{100 * row['level']:.4g}%"),
            Cell(f"{row['n']} {unit if row['n'] == 1 else PLURAL[unit]}" if row["n"] else MISSING),
            Cell(_p(row["p"])),
            Cell(_p(row["sign_flip_p"])),
            Cell(row["verdict"]),
        ]
        rows.append(cells)
    heads = ["Variant", "Quantity", "Difference or ratio", "Level", "n", "p (t)", "p (sign flip)", "Verdict"]
    return make("Every comparison", heads, rows, COMPARISONS)


def _p(value: float) -> str:
    if absent(value):
        return MISSING
    return f"{value:.4f}" if value >= 0.0001 else "<0.0001"


def seed_grid(study: Study) -> Grid | None:
    """Every seed's accuracy; none is left out and none is chosen."""
    samples = accuracy_seeds(study)
    if samples.empty:
        return None
    seeds = sorted(set(samples["seed"]))
    known = {(row["variant"], row["seed"]): row["accuracy"] for row in samples.to_dict("records")}
    rows = [
        [Cell(v.name, name=True), *(Cell(percent(known.get((v.name, seed), float("nan")))) for seed in seeds)]
        for v in study.variants
    ]
    return make("Every seed", ["Variant", *(f"seed {seed}" for seed in seeds)], rows, SEEDS)


def terminal(table: pd.DataFrame, compared: pd.DataFrame, *, baseline: str) -> tuple[list[str], list[list[str]]]:
    """The compact table for a terminal: headings, and rows of plain text."""
    grid = results(table, compared, baseline=baseline)
    keep = [i for i, head in enumerate(grid.heads) if head not in {"Family", "Seeds"}]
    rows = [[" ".join(filter(None, (row[i].text, row[i].small))) for i in keep] for row in grid.rows]
    return [grid.heads[i] for i in keep], rows
