"""The answer in two or three sentences, each made from verdicts and saying no more than they do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from vitbench.report.phrases import Name, Phrase, listed, names, span
from vitbench.report.text_tables import bracket
from vitbench.utils.format import percent

NAMED, CROWD = 3, 6
"""So many variants with the same verdict are named one by one (in a crowd one fewer); of more, the two extremes."""

Row = Mapping[Any, Any]

DECIDED = {"better", "worse", "faster", "slower", "equivalent"}
OPENINGS = {"accuracy": "In accuracy, ", "latency_ms": "In latency, "}


def answer(table: pd.DataFrame, compared: pd.DataFrame, *, baseline: str) -> list[Phrase]:
    """Sentences on accuracy, on latency, and on what is won without a price.

    Args:
        table: for the baseline's own accuracy.
        compared: every variant against the baseline, with ``kind`` and ``verdict``.
        baseline: its name.
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
        return [("Nothing has been compared yet: there is no verdict to rest an answer on.",)]
    return sentences


def with_interval(number: str, interval: str) -> str:
    """``98.6% [97.9, 99.2]``, or ``98.6%, no interval``."""
    return f"{number}%{' ' if interval.startswith('[') else ', '}{interval}"


def _compared(rows: Sequence[Row], opening: str, baseline: Phrase) -> Phrase:
    """All verdicts of one metric, grouped by kind, in one sentence."""
    return (opening, "against the baseline", *baseline, ", ", *listed(clauses(rows), last="; ", between="; "))


def clauses(rows: Sequence[Row], what: str = "variants") -> list[Phrase]:
    """Verdicts grouped by kind, a clause a group; ``what`` the rows are. Those that were not measured have none."""
    groups = {kind: [row for row in rows if row["kind"] == kind] for kind in dict.fromkeys(r["kind"] for r in rows)}
    order = ("better", "faster", "worse", "slower", "equivalent", "none", "untested", "inconclusive", "exploratory")
    found = [_clause(kind, group, len(rows), what) for kind in order if (group := groups.get(kind))]
    if "invalid" in groups:
        found.append(("no verdict holds: the A/A control found the baseline different from its own clone",))
    return found


def _clause(kind: str, rows: Sequence[Row], total: int, what: str) -> Phrase:
    """One group of equal verdicts in words."""
    who = names(row["variant"] for row in rows)
    few = len(rows) <= NAMED - (total > CROWD)
    if kind in {"better", "worse", "faster", "slower"}:
        if few:
            return listed([(Name(row["variant"]), f" is {row['verdict']}") for row in rows])
        least, *_, most = sorted(rows, key=lambda row: abs(row["value"] - (0 if "accuracy" in row["metric"] else 1)))
        ends = (": least ", Name(least["variant"]), _by(least), ", most ", Name(most["variant"]), _by(most))
        return (f"{len(rows)} of {total} {what} are {kind}", *ends)
    if kind == "equivalent":
        if few:
            return listed([(Name(row["variant"]), f" is {row['verdict']}") for row in rows])
        return (f"{len(rows)} of {total} {what} are {_before(rows[0]['verdict'], ' [')}",)
    if kind == "none":
        if few:
            each = [(Name(row["variant"]), f" ({_after(row['verdict'])})") for row in rows]
            return ("no difference was found for ", *listed(each))
        return (f"for {len(rows)} of {total} {what} no difference was found",)
    if kind == "exploratory":
        seeds = span(row["n"] for row in rows)
        any_ = f"any {what.removesuffix('s')}"
        whose = who if few else (any_,) if len(rows) == total else (f"{len(rows)} of {total} {what}",)
        shared = f"only {seeds} seed{'s' * (seeds != '1')} in common"
        return ("nothing is decided for ", *whose, f": {shared} (a verdict takes 6)")
    if few:
        return listed([(Name(row["variant"]), f": {_lower(row['verdict'])}") for row in rows])
    said = {"untested": "differ without spread, so that there is no test", "inconclusive": "stay inconclusive"}[kind]
    return (f"{len(rows)} of {total} {what} {said}",)


def _free(compared: pd.DataFrame) -> Phrase:
    """What wins on one side and is shown to lose nothing on the other: two verdicts each."""
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
        return ("A gain without a price: ", *listed(clauses, last="; ", between="; "), ".")
    return ("No variant is shown to gain in one of the two and to give up nothing in the other.",)


def _left_out(compared: pd.DataFrame) -> Phrase:
    """Those without a comparison on at least one side."""
    missing = list(dict.fromkeys(compared["variant"][compared["kind"] == "not_measured"]))
    return (" ", *_who(missing), " could not be compared on both.") if missing else ()


def _who(found: Sequence[str]) -> Phrase:
    return names(found) if len(found) <= NAMED else (f"{len(found)} variants",)


def _by(row: Row) -> str:
    """The numbers of ``slower by 4.1% [3.2, 5.0]``."""
    return " " + str(row["verdict"]).removeprefix(f"{row['kind']} ")


def _before(text: str, mark: str) -> str:
    return text.partition(mark)[0]


def _after(text: str, mark: str = "; ") -> str:
    return text.partition(mark)[2] or text


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
