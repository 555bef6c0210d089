"""Tuning: the tries that everyone gets, and which of them won. No torch, no pandas: planning and reports share it."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vitbench.declare.tuning import Tuning
from vitbench.records.record import Record

FIRST_SEED = 1_000_000
"""Tries are trained under seeds from here on: no try owes its place to the luck of a seed that counts."""

STEPS = 0.7548776662466927, 0.5698402909980532
"""Additive recurrence by the plastic number's powers (Roberts 2018): any first n points spread well."""


@dataclass(frozen=True)
class Chosen:
    """The try that won for a variant, by mean validation accuracy; of equals the first.

    Attributes:
        lr: its learning rate.
        weight_decay: its weight decay.
        number: of the try; 0 is the recipe's own values.
        val_accuracy: mean over the tuning's seeds, a fraction.
        tries: how many there were.
        failed: those among them that diverged or gave no result.
        seconds: what all tries took, one after another.
        of: the variant that was tried.
    """

    lr: float
    weight_decay: float
    number: int
    val_accuracy: float
    tries: int
    failed: int
    seconds: float
    of: str


def points(tuning: Tuning, own: tuple[float, float]) -> list[tuple[float, float]]:
    """Learning rate and weight decay of every try: ``own`` first, then log-uniform ones, the same for all.

    More tries keep the fewer: the first n points do not depend on how many follow.
    """
    drawn = random.Random(0)
    start = drawn.random(), drawn.random()
    found = [own]
    for number in range(1, tuning.tries):
        shares = [(s + number * step) % 1 for s, step in zip(start, STEPS, strict=True)]
        bounds = (tuning.lr, tuning.weight_decay)
        lr, decay = (low * (high / low) ** share for (low, high), share in zip(bounds, shares, strict=True))
        found.append((float(f"{lr:.3g}"), float(f"{decay:.3g}")))
    return found


def chosen(plan: Mapping[str, Any], records: Iterable[Record]) -> dict[str, Chosen]:
    """The winner for every variant whose tries are all recorded, and of which at least one gave a result.

    Args:
        plan: the values of the plan record; its ``tuning`` names every try's records.
        records: of the folder.
    """
    tuning = plan.get("tuning")
    if not tuning:
        return {}
    by_id: dict[str, Record] = {}
    for record in records:
        if record.kind == "tuning" and (record.ok or record.id not in by_id):
            by_id[record.id] = record
    winners = {name: _winner(name, tries, by_id) for name, tries in tuning["tried"].items()}
    return {variant: won for variant, tried in tuning["of"].items() if (won := winners[tried]) is not None}


def finished(plan: Mapping[str, Any], records: Iterable[Record]) -> set[str]:
    """The variants whose tries are all recorded, whatever came of them."""
    known = {record.id for record in records if record.kind == "tuning"}
    tuning = plan.get("tuning") or {"tried": {}, "of": {}}
    whole = {name for name, tries in tuning["tried"].items() if all(i in known for t in tries for i in t["ids"])}
    return {variant for variant, tried in tuning["of"].items() if tried in whole}


def _winner(name: str, tries: list[dict[str, Any]], by_id: Mapping[str, Record]) -> Chosen | None:
    if any(i not in by_id for tried in tries for i in tried["ids"]):
        return None
    scores = [_score([by_id[i] for i in tried["ids"]]) for tried in tries]
    best = max(scores)
    if best == -math.inf:
        return None
    number = scores.index(best)
    return Chosen(
        lr=tries[number]["lr"],
        weight_decay=tries[number]["weight_decay"],
        number=number,
        val_accuracy=best,
        tries=len(tries),
        failed=scores.count(-math.inf),
        seconds=sum(by_id[i].seconds for tried in tries for i in tried["ids"]),
        of=name,
    )


def _score(records: list[Record]) -> float:
    """Mean validation accuracy; a try that failed under one seed is out."""
    found = [record.values.get("val_accuracy") if record.ok else None for record in records]
    known = [float(value) for value in found if value is not None]
    return sum(known) / len(known) if len(known) == len(records) else -math.inf
