"""The section on Pareto fronts of accuracy and cost, where there are two families or more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import pandas as pd

from vitbench import plots
from vitbench.report import cells
from vitbench.report.cells import Cell, Row
from vitbench.report.elements import Columns, Phrase, Section, Table, counted, listed, names, prose
from vitbench.tables.columns import column
from vitbench.tables.compare import settings_of
from vitbench.tables.model_families import COSTS, DRAWS, TRAINING, families, fronts
from vitbench.tables.study import Study

SURE = 0.95
"""Probability from which on the answer counts a model as being on the front."""

SHORT = {
    "latency_ms": "Latency",
    "macs": "MACs",
    "peak_memory_training_mib": "Training memory",
    "params": "Parameters",
    TRAINING: "Training time",
}
AXES = {**{cost: column(cost).title for cost in COSTS if cost != TRAINING}, TRAINING: "Training time (s)"}

FRONTS = """
    Up is more accurate, left is cheaper. A mark is filled by the probability that its model is on the Pareto front; the
    line is the front of the means, with the names of the models that are on it in most draws, and bars are 95%
    intervals."""
SECONDS = """
    Training time is the mean over seeds of the seconds in training steps; trials run side by side, so it is noisier
    than latency."""
PROBABILITIES = """
    Probability that no other model costs at most as much and is at least as accurate, one of the two strictly: the
    share of {draws} draws of the seeds with replacement (no interval)."""


def sections(study: Study, table: pd.DataFrame) -> Iterator[Section]:
    """Pareto fronts, one for each cost that was measured."""
    if len(families(study)) < 2:
        return
    front = fronts(study, table)
    costs = [cost for cost in COSTS if (front["cost"] == cost).sum() > 1]
    front = front[front["cost"].isin(costs)]
    if not costs:
        return
    yield Section(
        name="pareto",
        title="Pareto front",
        caption=prose(FRONTS) + (f" {prose(SECONDS)}" if TRAINING in costs else ""),
        alt=f"Accuracy against {len(costs)} costs of {front['variant'].nunique()} variants; the table below has the "
        "probability that each is on the front.",
        figure=plots.fronts(front, labels={cost: AXES[cost] for cost in costs}, baseline=study.baseline),
        tables=[_probabilities(front, costs)],
        answer=[_answer(study, front)] if "latency_ms" in costs and _enough_seeds(study, front) else [],
    )


def _enough_seeds(study: Study, front: pd.DataFrame) -> bool:
    """Whether every model has as many seeds as a verdict needs."""
    least = settings_of(study, "accuracy").minimum
    return all(len(study.of("accuracy", variant)) >= least for variant in set(front["variant"]))


def _answer(study: Study, front: pd.DataFrame) -> Phrase:
    """The models on the front of accuracy and latency, family by family."""
    timed = front[front["cost"] == "latency_ms"]
    on = timed[timed["probability"] >= SURE]
    clauses = []
    for family in families(study):
        own = on[on["family"] == family]
        total = int((timed["family"] == family).sum())
        named = (" (", *names(own["variant"]), ")") if len(own) else ()
        clauses.append((f"{len(own)} of {total} {family} variants", *named))
    opening = f"On the Pareto front of accuracy and latency with a probability of at least {100 * SURE:.0f}%: "
    return (opening, *listed(clauses), ".")


def _probabilities(front: pd.DataFrame, costs: Sequence[str]) -> Table:
    known = {(row["variant"], row["cost"]): row["probability"] for row in front.to_dict("records")}

    def probability(cost: str, row: Row) -> Cell:
        """In percent, with no more digits than the draws support."""
        chance = known.get((row["variant"], cost))
        if chance is None:
            return cells.NOTHING
        return Cell("<1%" if 0 < chance < 0.01 else ">99%" if 0.99 < chance < 1 else f"{100 * chance:.0f}%")

    columns: Columns = {
        "Variant": lambda row: cells.name(row["variant"]),
        "Family": lambda row: cells.words(row["family"]),
        column("accuracy").title: lambda row: cells.measured(row, "accuracy"),
        **{SHORT[cost]: partial(probability, cost) for cost in costs},
    }
    rows = front.drop_duplicates("variant").to_dict("records")
    return Table.of("Probability of being on the front", rows, columns, PROBABILITIES.format(draws=counted(DRAWS)))
