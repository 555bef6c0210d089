"""The records of a folder, found by the ids of the trials that wrote them."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from vitbench.declare.ablation import Variant
from vitbench.declare.serialize import as_dict
from vitbench.records.record import Record
from vitbench.run.planning.trial import Trial


class Recorded:
    """An index of records, by what they measured.

    Args:
        records: of the folder.
        timeout_s: what a trial may take now: one that ran out of less is to be repeated.
    """

    def __init__(self, records: Iterable[Record], timeout_s: float | None) -> None:
        self._alone: dict[str, list[Record]] = defaultdict(list)
        self._joint: dict[tuple[str, str], dict[str, list[Record]]] = {}
        for record in records:
            if record.session is not None:
                key = record.kind.removesuffix("_control"), record.session
                self._joint.setdefault(key, defaultdict(list))[record.id].append(record)
            elif _stands(record, timeout_s):
                self._alone[record.id].append(record)

    def of(self, trial: Trial, variant: Variant) -> list[Record]:
        """Records of the variant outside a session: where one succeeded those that did, else the failed ones."""
        found = self._alone.get(trial.failure_id(variant), [])
        return [r for r in found if r.ok] or found

    def session(self, trial: Trial) -> Mapping[str, list[Record]] | None:
        """The records of a joint timing by their id; None if it was not timed."""
        return self._joint.get((trial.kind, trial.session or ""))


def copied(record: Record, trial: Trial, variant: Variant) -> Record:
    """The record as it stands for another variant of which the same measurement is true."""
    kept = {key: value for key, value in record.settings.items() if key == "timeout_s"}
    return dataclasses.replace(
        record,
        variant=variant.name,
        axes=dict(variant.axes),
        config=None if variant.model is None else as_dict(variant.model),
        settings={**trial.about(variant), **kept},
    )


def batched(copies: Iterable[Record]) -> list[Record]:
    """Copies in the order in which they can be written: those of a timing session together, with their number."""
    groups: dict[tuple[str, str | None], list[Record]] = defaultdict(list)
    for record in copies:
        groups[record.kind, record.session].append(record)
    found = []
    for (_, session), own in groups.items():
        size: Mapping[str, Any] = {} if session is None else {"session_size": len(own)}
        found += [dataclasses.replace(record, settings={**record.settings, **size}) for record in own]
    return found


def _stands(record: Record, timeout_s: float | None) -> bool:
    """Whether it need not be repeated; a time-out is, when there is more time now."""
    if record.status != "timeout":
        return True
    then = record.settings.get("timeout_s")
    return timeout_s is not None and then is not None and timeout_s <= then
