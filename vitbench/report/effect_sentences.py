"""What a report says of main effects and interactions, in sentences made from verdicts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from vitbench.report import answer
from vitbench.report.phrases import Name, Phrase, counted, first, listed, names
from vitbench.tables.factorial import Axis, Grid

AXES = 6
"""So many axes have sentences, and rows in a figure: the first of the plan."""

NAMED = 3
"""Interactions of two axes that are told one by one; of more the largest."""

WHERE = {"accuracy": "in accuracy", "latency_ms": "in latency"}
NOTHING = {"accuracy": 0.0, "latency_ms": 1.0}
"""Metric → what no effect is: of a difference, of a ratio."""

FOUND, OPEN = ("higher", "lower"), ("exploratory", "inconclusive", "invalid", "not_measured")
HIDES = "Where two axes interact, the average of one over the other hides what it does at each level: read the lines."


def lacking(grid: Grid, metric: str) -> Iterator[Phrase]:
    """The cells of the plan that have no value of a metric, or none for some of its seeds."""
    there = grid.measured(metric).values
    who = [name for name, own in zip(grid.names, there, strict=True) if np.isnan(own).any()]
    if who:
        of = "a value" if metric != "accuracy" else "the value of some seed, or all"
        many = f"{counted(len(who))} of {counted(len(grid.names))} cells lack {of}: "
        yield (f"{WHERE[metric].capitalize()} {many}", Name(", ".join(first(who))), ".")


def averaged(grid: Grid, main: pd.DataFrame, metric: str) -> Iterator[Phrase]:
    """A sentence an axis: what its levels do in a metric."""
    for axis in grid.axes[:AXES]:
        if said := _levels(main, axis, metric):
            opening = f"Averaged over all settings of the other axes, {WHERE[metric]}, against "
            yield (opening, _reference(axis), ": ", *listed(said, last="; ", between="; "), ".")


def unfitted(grid: Grid) -> Iterator[Phrase]:
    """That there are more interactions than a fit can tell, where there are."""
    if not grid.cells.pairs_fit:
        number = counted(len(grid.cells.interactions))
        yield (f"Interactions are not given: there would be {number}, more than are fitted. Fewer levels have fewer.",)


def interacting(pairs: pd.DataFrame, metric: str) -> Iterator[Phrase]:
    """Which axes interact in a metric, how much the others could, and on which nothing is decided."""
    quiet: list[Phrase] = []
    room = [0.0]
    undecided: dict[str, list[Phrase]] = {}
    for (one, other), rows in pairs[pairs["metric"] == metric].groupby(["axis", "axis_2"], sort=False):
        pair: Phrase = (Name(one), " with ", Name(other))
        found, left_open = rows[rows["kind"].isin(FOUND)], rows[rows["kind"].isin(OPEN)]
        if len(found):
            yield _told(found, len(rows), metric)
        elif len(left_open):
            reasons = dict.fromkeys(map(_undecided, left_open.to_dict("records")))
            undecided.setdefault("; ".join(first(list(reasons))), []).append(pair)
        else:
            quiet.append(pair)
            room += [abs(end - NOTHING[metric]) for end in (rows["low"].min(), rows["high"].max())]
    if quiet:
        most = f"±{100 * max(room):.1f}{' points' if metric == 'accuracy' else '%'}"
        which = listed(quiet, last=", nor of ", between=", of ")
        yield (
            f"No interaction {WHERE[metric]} was found of ",
            *which,
            f": the intervals leave room for {most} at most.",
        )
    for why, of in undecided.items():
        yield (f"Nothing is decided {WHERE[metric]} on an interaction of ", *listed(of, last=" or of "), f": {why}.")


def in_short(grid: Grid, main: pd.DataFrame, pairs: pd.DataFrame) -> list[Phrase]:
    """What the answer takes over: the main effects in accuracy where some are decided, and which axes interact."""
    if not main["kind"][main["metric"] == "accuracy"].isin(answer.DECIDED).any():
        return []
    said = [
        ("against ", _reference(axis), ", ", *listed(clauses))
        for axis in grid.axes[:AXES]
        if (clauses := _levels(main, axis, "accuracy"))
    ]
    opening = "Averaged over all settings of the other axes, in accuracy: "
    sentences: list[Phrase] = [(opening, *listed(said, last="; ", between="; "), ".")]
    found = pairs[(pairs["metric"] == "accuracy") & pairs["kind"].isin(FOUND)].drop_duplicates(["axis", "axis_2"])
    crossed = [(Name(row["axis"]), " with ", Name(row["axis_2"])) for row in found.to_dict("records")]
    return [*sentences, *([("In accuracy these axes interact: ", *listed(crossed), f". {HIDES}")] if crossed else [])]


def _reference(axis: Axis) -> Name:
    return Name(f"{axis.name}={axis.levels[axis.reference]}")


def _levels(main: pd.DataFrame, axis: Axis, metric: str) -> list[Phrase]:
    """What the levels of an axis do, a clause for each verdict."""
    own = main[(main["axis"] == axis.name) & (main["metric"] == metric)]
    rows: list[dict[Any, Any]] = own.assign(variant=own["axis"] + "=" + own["level"]).to_dict("records")
    missing = [row for row in rows if row["kind"] == "not_measured"]
    open_: list[Phrase] = [
        (*names(row["variant"] for row in missing if row["verdict"] == why), f": {why}")
        for why in dict.fromkeys(row["verdict"] for row in missing)
    ]
    return [*answer.clauses(rows, "levels"), *open_]


def _told(found: pd.DataFrame, total: int, metric: str) -> Phrase:
    """The interactions of two axes that were found, the largest first."""
    rows = sorted(found.to_dict("records"), key=lambda row: -abs(row["value"] - NOTHING[metric]))
    said = [
        (
            "with ", Name(f"{row['axis_2']}={row['level_2']}"), " instead of ",
            Name(f"{row['axis_2']}={row['against_2']}"), ", what ", Name(f"{row['axis']}={row['level']}"),
            " does against ", Name(f"{row['axis']}={row['against']}"), f" is {row['verdict']}",
        )
        for row in rows[:NAMED]
    ]  # fmt: skip
    many = f" in {len(rows)} of {total} places, most" if len(rows) > NAMED else ""
    pair = Name(rows[0]["axis"]), " and ", Name(rows[0]["axis_2"])
    return (*pair, f" interact {WHERE[metric]}{many}: ", *listed(said, last="; ", between="; "), ".")


def _undecided(row: dict[Any, Any]) -> str:
    """Why there is no verdict, without the numbers that the table has."""
    if row["kind"] == "exploratory":
        return f"only {row['n']} seed{'s' * (row['n'] != 1)} (a verdict takes 6)"
    return "inconclusive, the table has the intervals" if row["kind"] == "inconclusive" else str(row["verdict"])
