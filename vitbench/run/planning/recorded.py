"""What a folder holds, found by the ids that today's code gives; so that an older version's records are reused too."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vitbench.declare.serialize import as_dict
from vitbench.declare.variant import ROLES, Variant
from vitbench.records.identity import IDS, VERSIONS, identity
from vitbench.records.record import Record
from vitbench.run.planning.trial import ROOMS, SESSIONS, TRAINED, Kind, Trial, session_id

NOT_IN_AN_ID = ("data", "train", "session_size", "timeout_s", "recipe", *ROLES, "try", "lr", "weight_decay")
"""What a record's settings hold beside those that its id covers as settings."""


class Recorded:
    """An index of records, by what they measured.

    Args:
        records: of the folder.
        timeout_s: what a trial may take now: one that ran out of less is to be repeated.
    """

    def __init__(self, records: Iterable[Record], timeout_s: float | None) -> None:
        self._alone: dict[str, list[Record]] = defaultdict(list)
        self._joint: dict[tuple[str, str], dict[str, list[Record]]] = {}
        sessions: dict[tuple[str, str], list[Record]] = defaultdict(list)
        baseline = ""
        for record in records:
            if record.kind == "plan":
                baseline = record.values.get("baseline", "")
            elif record.session is not None:
                sessions[record.kind.removesuffix("_control"), record.session].append(record)
            elif record.kind in ROOMS and _stands(record, timeout_s):
                self._alone[_id_today(record)].append(record)
        for (kind, session), own in sessions.items():
            self._add_session(kind, session, own, baseline)

    def of(self, trial: Trial, variant: Variant) -> list[Record]:
        """Records of the variant outside a session: where one succeeded those that did, else the failed ones."""
        found = self._alone.get(trial.failure_id(variant), [])
        return [r for r in found if r.ok] or found

    def session(self, trial: Trial) -> dict[str, list[Record]] | None:
        """The records of a joint timing, by the ids that its members have outside it; None if it was not timed."""
        return self._joint.get((trial.kind, trial.session or ""))

    def _add_session(self, kind: str, session: str, own: Sequence[Record], baseline: str) -> None:
        members: dict[str, list[Record]] = defaultdict(list)
        for record in own:
            if record.kind == kind:
                members[_content_id(record)].append(record)
        self._joint[kind, session] = members
        if not _is_old(own[0]) or not _current(own[0]):
            return
        first = next((r.variant for r in own if r.kind != kind), baseline)
        leader = next((i for i, records in members.items() if first in {r.variant for r in records}), None)
        if leader is not None:
            self._joint[kind, session_id(kind, leader, list(members))] = members


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


def _is_old(record: Record) -> bool:
    return int(record.code.get("ids", 1)) < IDS


def _current(record: Record) -> bool:
    """Whether no room that the record rests on has changed its numbers since."""
    rooms = record.code.get("rooms", {})
    kind: Any = record.kind.removesuffix("_control")
    return all(rooms.get(room) == VERSIONS[room] for room in ROOMS[kind])


def _id_today(record: Record) -> str:
    return _content_id(record) if _is_old(record) and _current(record) else record.id


def _content_id(record: Record) -> str:
    """The id that what the record holds has today, outside any session."""
    kind: Kind = record.kind  # type: ignore[assignment]  # looked up in ROOMS
    settings, trained = record.settings, kind in TRAINED
    return identity(
        kind,
        record.config,
        rooms=ROOMS[kind],
        data=settings.get("data") if trained else None,
        train=settings.get("train") if trained else None,
        seed=None if kind in SESSIONS else record.seed,
        settings={key: value for key, value in settings.items() if key not in NOT_IN_AN_ID},
        session=None,
    )
