"""The section on tuning: accuracy under the shared recipe and tuned, and what the tuning cost."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from vitbench import plots
from vitbench.report import cells
from vitbench.report.answer import with_interval
from vitbench.report.cells import Cell, Row, bracket
from vitbench.report.elements import Columns, Name, Phrase, Section, Table, listed, prose, span
from vitbench.tables.frames import BASELINE
from vitbench.tables.study import Study
from vitbench.tables.tuned import tuned, tuning_cost
from vitbench.utils.format import percent, significant

CAPTION = """
    Hollow: the shared recipe. Filled: the learning rate and weight decay chosen by tuning on the validation split. All
    accuracies are on the test split; bars are 95% intervals over seeds."""
TUNED = """
    Holm's procedure covers each column of verdicts, paired by seed. Learning rate and weight decay are the chosen
    values."""
COST = """
    Each model gets the same {tries} tries{ranges}, judged on the validation split; the first try is the shared recipe.
    All tries took {total} s{trainings}, summed over processes (no interval)."""


def sections(study: Study) -> Iterator[Section]:
    """Tuned accuracy beside that of the shared recipe."""
    best = tuned(study)
    if len(best):
        yield Section(
            name="tuned",
            title="Tuned accuracy",
            caption=prose(CAPTION),
            alt=f"Test accuracy of {len(best)} variants under the shared recipe and tuned; the table has the numbers.",
            figure=plots.tuned(best),
            tables=[_accuracies(study, best), _cost(study)],
            answer=_answer(study, best),
        )


def _answer(study: Study, best: pd.DataFrame) -> list[Phrase]:
    """The verdicts on the tuned variants."""
    base = best[best["variant"] == study.baseline]
    if not len(base) or len(best) < 2:
        return []
    kinds = best["kind"].isin(["better", "worse"]) & (best["variant"] != study.baseline)
    decided = [(Name(row["variant"]), f" is {row['verdict']}") for row in best[kinds].to_dict("records")]
    interval = bracket(base["tuned_low"].iloc[0], base["tuned_high"].iloc[0], percent)
    own = f" ({with_interval(percent(base['tuned'].iloc[0]), interval)})"
    said = listed(decided) if decided else ("no variant is better or worse",)
    return [("With tuned variants, against the tuned baseline ", Name(study.baseline), own, ", ", *said, ".")]


def _accuracies(study: Study, best: pd.DataFrame) -> Table:
    def against(row: Row) -> Cell:
        return cells.verdict(BASELINE) if row["variant"] == study.baseline else cells.judged(row)

    columns: Columns = {
        "Variant": lambda row: cells.name(row["variant"]),
        "Shared recipe (%)": lambda row: cells.measured(row, "same", percent),
        "Tuned (%)": lambda row: cells.measured(row, "tuned", percent),
        "Tuned vs shared recipe": lambda row: cells.verdict(row["gain"], row["gain_kind"]),
        "Tuned vs tuned baseline": lambda row: (
            cells.verdict(BASELINE) if row["variant"] == study.baseline else cells.judged(row)
        ),
        "Learning rate": lambda row: cells.number(row["lr"], significant),
        "Weight decay": lambda row: cells.number(row["weight_decay"], significant),
        "Seeds": lambda row: cells.number(row["seeds"]),
    }
    return Table.of("Shared recipe and tuned", best.to_dict("records"), columns, TUNED)


def _cost(study: Study) -> Table:
    """The tries of each tuned model: their number, time and outcome."""
    cost = tuning_cost(study)
    bounds = study.plan.get("tuning") or {}
    ranges = "".join(
        f", {what} {significant(bounds[key][0])} to {significant(bounds[key][1])}"
        for key, what in (("lr", "learning rate"), ("weight_decay", "weight decay"))
        if bounds.get(key)
    )
    seconds = [record.seconds for record in study.of("accuracy")]
    total, one = cost["seconds"].sum(), sum(seconds) / max(len(seconds), 1)
    trainings = f", the time of {total / one:.0f} trainings" if one else ""
    chosen = {c.of: c.number for c in study.chosen.values()}
    columns: Columns = {
        "Tuned model": lambda row: cells.name(row["variant"]),
        "Variants": lambda row: cells.number(row["serves"]),
        "Tries": lambda row: cells.number(row["tries"]),
        "Failed": lambda row: cells.number(row["failed"]),
        "Tuning time (s)": lambda row: cells.number(row["seconds"], significant),
        "Learning rate": lambda row: cells.number(row["lr"], significant),
        "Weight decay": lambda row: cells.number(row["weight_decay"], significant),
        "Verdict": lambda row: cells.verdict(
            "the shared recipe won" if chosen.get(row["variant"]) == 0 else "tuning won"
        ),
    }
    caption = COST.format(tries=span(cost["tries"]), ranges=ranges, total=significant(total), trainings=trainings)
    return Table.of("Tuning cost", cost.to_dict("records"), columns, caption)
