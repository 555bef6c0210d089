"""The part of a report about tuning: same recipe and each at its tuned best, and what the tries cost."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from vitbench import plots
from vitbench.report.answer import with_interval
from vitbench.report.phrases import Name, Phrase, listed, span
from vitbench.report.section import Picture, prose
from vitbench.report.text_tables import AGAINST_SAME, AGAINST_TUNED, Cell, Grid, bracket, make, tone
from vitbench.tables.frames import BASELINE
from vitbench.tables.study import Study
from vitbench.tables.tuned import tuned, tuning_cost
from vitbench.utils.format import MISSING, percent, significant

TUNED = """
    Hollow: the recipe that all share. Filled: the learning rate and weight decay that the variant's tuning chose. Bars
    are 95% intervals over seeds. Tuning looked at the validation split only; every accuracy here is of the test
    split."""
TUNED_GRID = """
    Each column of verdicts is a family of its own under Holm, paired by seed. Learning rate and weight decay are those
    chosen."""


def draw(study: Study) -> Iterator[Picture]:
    """One part, where something was tuned and trained with what won."""
    best = tuned(study)
    if len(best):
        yield _tuned(study, best)


def _tuned(study: Study, best: pd.DataFrame) -> Picture:
    kinds = best["kind"].isin(["better", "worse"]) & (best["variant"] != study.baseline)
    decided = [(Name(row["variant"]), f" is {row['verdict']}") for row in best[kinds].to_dict("records")]
    base = best[best["variant"] == study.baseline]
    short: list[Phrase] = []
    if len(base) and len(best) > 1:
        interval = bracket(base["tuned_low"].iloc[0], base["tuned_high"].iloc[0], percent)
        own = f" ({with_interval(percent(base['tuned'].iloc[0]), interval)})"
        said = listed(decided) if decided else ("no variant is shown to be better or worse",)
        short = [("With each at its tuned best, against the baseline ", Name(study.baseline), own, ", ", *said, ".")]
    return Picture(
        name="tuned",
        title="Same recipe, and each at its tuned best",
        caption=prose(TUNED),
        alt=f"Test accuracy of {len(best)} variants under the shared recipe and tuned; the table has the numbers.",
        figure=plots.tuned(best),
        words=list(_tuning(study)),
        grids=[_tuned_grid(study, best)],
        answer=short,
    )


def _tuning(study: Study) -> Iterator[Phrase]:
    """What was tried, what it cost, what won."""
    cost = tuning_cost(study)
    bounds = study.plan.get("tuning") or {}
    tries = span(cost["tries"])
    ranges = "".join(
        f", {what} {significant(bounds[key][0])} to {significant(bounds[key][1])}"
        for key, what in (("lr", "learning rate"), ("weight_decay", "weight decay"))
        if bounds.get(key)
    )
    total, one = cost["seconds"].sum(), _one_training(study)
    times = f", as much as {total / one:.0f} trainings" if one else ""
    offer = (
        f"Everyone got the same {tries} tries{ranges}, judged on the validation split; the first is the recipe's own. "
    )
    yield (offer, f"Together they took {significant(total)} s{times} (summed over processes, no interval).")
    for row in cost.to_dict("records"):
        serves = f" (for {row['serves']} variants)" if row["serves"] > 1 else ""
        failed = f", {row['failed']} of them failed" if row["failed"] else ""
        own = " (the recipe's own)" if study.chosen and _number(study, row["variant"]) == 0 else ""
        won = f"learning rate {significant(row['lr'])}, weight decay {significant(row['weight_decay'])}{own}"
        tried = f"{row['tries']} tries in {significant(row['seconds'])} s (no interval){failed}"
        yield (Name(row["variant"]), f"{serves}: {tried}; best: {won}.")


def _number(study: Study, tried: str) -> int:
    return next(c.number for c in study.chosen.values() if c.of == tried)


def _one_training(study: Study) -> float | None:
    """Mean process seconds of one training under the shared recipe."""
    seconds = [r.seconds for r in study.of("accuracy")]
    return sum(seconds) / len(seconds) if seconds and sum(seconds) > 0 else None


def _tuned_grid(study: Study, best: pd.DataFrame) -> Grid:
    rows = []
    for row in best.to_dict("records"):
        numbers = [
            Cell(percent(row[name]), bracket(row[f"{name}_low"], row[f"{name}_high"], percent))
            for name in ("same", "tuned")
        ]
        baseline = row["variant"] == study.baseline
        verdict = Cell(BASELINE) if baseline else Cell(row["verdict"] or MISSING, tone=tone(row["kind"]))
        rows.append([
            Cell(row["variant"], name=True), numbers[0], numbers[1],
            Cell(row["gain"] or MISSING, tone=tone(row["gain_kind"])), verdict,
            Cell(significant(row["lr"])), Cell(significant(row["weight_decay"])), Cell(str(row["seeds"])),
        ])  # fmt: skip
    heads = ["Variant", "Same recipe (%)", "Tuned (%)", AGAINST_SAME, AGAINST_TUNED]
    heads += ["Learning rate", "Weight decay", "Seeds"]
    return make("Same recipe and tuned", heads, rows, TUNED_GRID)
