"""Which try of a tuning won; used by planning and by reports. No torch, no pandas."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vitbench.records.record import Record


@dataclass(frozen=True)
class Chosen:
    """The try with the highest mean validation accuracy; of equal ones, the first.

    Attributes:
        lr: its learning rate.
        weight_decay: its weight decay.
        number: of the try; try 0 has the recipe's own values.
        val_accuracy: mean over the tuning's seeds, a fraction.
        tries: the number of tries.
        failed: how many of them diverged or gave no result.
        seconds: the time of all tries together.
        of: the variant that was trained in the tries.
    """

    lr: float
    weight_decay: float
    number: int
    val_accuracy: float
    tries: int
    failed: int
    seconds: float
    of: str


def chosen(plan: Mapping[str, Any], records: Iterable[Record]) -> dict[str, Chosen]:
    """Variant → winning try, for variants whose tries are all recorded and gave at least one result.

    Args:
        plan: the values of the plan record; its ``tuning`` holds the ids of all tries.
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
    """The variants whose tries are all recorded, whether they succeeded or not."""
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
    """The mean validation accuracy of a try; minus infinity where it failed under any seed."""
    found = [record.values.get("val_accuracy") if record.ok else None for record in records]
    known = [float(value) for value in found if value is not None]
    return sum(known) / len(known) if len(known) == len(records) else -math.inf
