"""The answer of a report: two or three sentences that are made from verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from vitbench.report.cells import Row, bracket
from vitbench.report.elements import Name, Phrase, listed, names, span
from vitbench.utils.format import percent

NAMED, CROWD = 3, 6
"""At most ``NAMED`` variants with one verdict are named, one fewer among more than ``CROWD``; else the extremes."""

DECIDED = {"better", "worse", "faster", "slower", "equivalent"}
OPENINGS = {"accuracy": "In accuracy, ", "latency_ms": "In latency, "}


def answer(table: pd.DataFrame, compared: pd.DataFrame, *, baseline: str) -> list[Phrase]:
    """Sentences on accuracy, on latency, and on the variants that improve one without losing the other.

    Args:
        table: has the baseline's own accuracy.
        compared: every variant against the baseline, with ``kind`` and ``verdict``.
        baseline: the baseline's name.
    """
    sentences = []
    own = table[table["variant"] == baseline].iloc[0]
    for metric in ("accuracy", "latency_ms"):
        rows: list[dict[Any, Any]] = compared[compared["metric"] == metric].to_dict("records")
        if not rows or all(row["kind"] == "not_measured" for row in rows):
            continue
        where: Phrase = () if baseline == "baseline" else (" ", Name(baseline))
        if metric == "accuracy" and not pd.isna(own["accuracy"]):
            interval = bracket(own["accuracy_low"], own["accuracy_high"], percent)
            where = (*where, f" ({with_interval(percent(own['accuracy']), interval)})")
        sentences.append((*_compared(rows, OPENINGS[metric], where), "."))
    if len(sentences) == 2 and (last := (*_free(compared), *_left_out(compared))):
        sentences.append(last)
    if not sentences:
        return [("Nothing has been compared yet, so there is no answer.",)]
    return sentences


def with_interval(number: str, interval: str) -> str:
    """``98.6% [97.9, 99.2]``, or ``98.6%, no interval``."""
    return f"{number}%{' ' if interval.startswith('[') else ', '}{interval}"


def _compared(rows: Sequence[Row], opening: str, baseline: Phrase) -> Phrase:
    """The verdicts of one metric, grouped by kind, in one sentence."""
    return (opening, "against the baseline", *baseline, ", ", *listed(clauses(rows), last="; ", between="; "))


def clauses(rows: Sequence[Row], what: str = "variants") -> list[Phrase]:
    """One clause for each kind of verdict; ``what`` the rows are. Rows that were not measured have none."""
    groups = {kind: [row for row in rows if row["kind"] == kind] for kind in dict.fromkeys(r["kind"] for r in rows)}
    order = ("better", "faster", "worse", "slower", "equivalent", "none", "untested", "inconclusive", "exploratory")
    found = [_clause(kind, group, len(rows), what) for kind in order if (group := groups.get(kind))]
    if "invalid" in groups:
        found.append(
            ("there is no verdict: the A/A control found a difference between the baseline and its own clone",)
        )
    return found


def _clause(kind: str, rows: Sequence[Row], total: int, what: str) -> Phrase:
    """One group of equal verdicts in words."""
    few = len(rows) <= NAMED - (total > CROWD)
    who = f"all {total} {what}" if len(rows) == total else f"{len(rows)} of {total} {what}"
    if few and kind in DECIDED:
        return listed([(Name(row["variant"]), f" is {row['verdict']}") for row in rows])
    if few and kind == "none":
        each = [(Name(row["variant"]), f" ({row['verdict'].partition('; ')[2] or row['verdict']})") for row in rows]
        return ("no difference was found for ", *listed(each))
    if kind == "exploratory":
        seeds = span(row["n"] for row in rows)
        whose = names(row["variant"] for row in rows) if few else (who,)
        shared = f"only {seeds} seed{'s' * (seeds != '1')} in common"
        return ("there is no verdict for ", *whose, f": {shared} (a verdict needs 6)")
    if few:
        return listed([(Name(row["variant"]), f": {row['verdict'][:1].lower()}{row['verdict'][1:]}") for row in rows])
    if kind in DECIDED - {"equivalent"}:
        least, *_, most = sorted(rows, key=lambda row: abs(row["value"] - (0 if "accuracy" in row["metric"] else 1)))
        ends = (f", by {_by(least)} (", Name(least["variant"]), f") to {_by(most)} (", Name(most["variant"]), ")")
        return (f"{who} are {kind}", *ends)
    said = {
        "equivalent": f"are {rows[0]['verdict'].partition(' [')[0]}",
        "none": "show no difference",
        "untested": "differ by the same amount in every unit, so there is no test",
        "inconclusive": "are inconclusive",
    }
    return (f"{who} {said[kind]}",)


def _free(compared: pd.DataFrame) -> Phrase:
    """The variants that improve accuracy or latency and do not lose the other, by two verdicts each."""
    kinds = {metric: dict(zip(g["variant"], g["kind"], strict=True)) for metric, g in compared.groupby("metric")}
    accuracy, latency = kinds["accuracy"], kinds["latency_ms"]
    if not DECIDED & set(accuracy.values()) or not DECIDED & set(latency.values()):
        return ()
    both = [v for v in accuracy if accuracy[v] == "better" and latency.get(v) == "faster"]
    gains = [v for v in accuracy if accuracy[v] == "better" and latency.get(v) == "equivalent"]
    speed = [v for v in accuracy if latency.get(v) == "faster" and accuracy[v] == "equivalent"]
    clauses = [
        (*_who(found), f" {'is' if len(found) == 1 else 'are'} {what}")
        for found, what in (
            (both, "better and faster"),
            (gains, "better at equivalent latency"),
            (speed, "faster at equivalent accuracy"),
        )
        if found
    ]
    if clauses:
        return ("Improved at no cost: ", *listed(clauses, last="; ", between="; "), ".")
    return ("No variant improves accuracy or latency without losing the other.",)


def _left_out(compared: pd.DataFrame) -> Phrase:
    """The variants without a comparison in accuracy or latency."""
    missing = list(dict.fromkeys(compared["variant"][compared["kind"] == "not_measured"]))
    return (" ", *_who(missing), " could not be compared in both.") if missing else ()


def _who(found: Sequence[str]) -> Phrase:
    return names(found) if len(found) <= NAMED else (f"{len(found)} variants",)


def _by(row: Row) -> str:
    """The numbers of ``slower by 4.1% [3.2, 5.0]``."""
    return str(row["verdict"]).removeprefix(f"{row['kind']} by ")
