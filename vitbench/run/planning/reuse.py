"""Which trials of a plan are already recorded, and which are still to run. No torch."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from vitbench.declare.quantities import base_kind
from vitbench.declare.serialize import as_dict
from vitbench.declare.variant import Variant
from vitbench.records.record import Record
from vitbench.run.planning.lazy_trials import Block, block_of
from vitbench.run.planning.trial import Trial


class RecordIndex:
    """The records of a folder, by id.

    Args:
        records: all records of the folder.
        timeout_s: the limit for a trial in this run. A trial that timed out under a shorter limit counts as missing.
    """

    def __init__(self, records: Iterable[Record], timeout_s: float | None) -> None:
        self._by_id: dict[str, list[Record]] = defaultdict(list)
        self._sessions = set[tuple[str, str]]()
        for record in records:
            if _is_final(record, timeout_s):
                self._by_id[record.id].append(record)
            if record.session is not None:
                self._sessions.add((base_kind(record.kind), record.session))

    def find(self, record_id: str) -> list[Record]:
        """The successful records with this id; if there are none, the failed ones."""
        found = self._by_id.get(record_id, [])
        return [record for record in found if record.ok] or found

    def has_session(self, trial: Trial) -> bool:
        """Whether this set of variants was timed together before."""
        return (trial.kind, trial.session) in self._sessions


def _is_final(record: Record, timeout_s: float | None) -> bool:
    """Whether the trial need not be repeated. A trial that timed out is repeated if it now has more time."""
    limit = record.settings.get("timeout_s")
    return record.status != "timeout" or (timeout_s is not None and limit is not None and timeout_s <= limit)


@dataclass
class TrialSplit:
    """Trials, split by whether they are recorded."""

    index: RecordIndex | None  # None for an empty folder, where no id needs to be computed
    to_run: list[Block] = field(default_factory=list)
    reused: list[Block] = field(default_factory=list)
    failures: dict[str, Record] = field(default_factory=dict)  # by id; these trials are not repeated
    copies: list[Record] = field(default_factory=list)  # for variants that share a measurement without a record

    def add(self, block: Block) -> None:
        """Sorts the trials of one block."""
        if self.index is None:
            self.to_run.append(block)
        elif block.alone:
            self._add_sessions(block, self.index)
        else:
            recorded = [self._use(t, t.variants[0], self.index.find(t.only_id)) for t in block]
            self.to_run.append(block.only(i for i, found in enumerate(recorded) if not found))
            self.reused.append(block.only(i for i, found in enumerate(recorded) if found))

    def _add_sessions(self, block: Block, index: RecordIndex) -> None:
        """Sorts timing sessions, each without the variants that failed outside it."""
        to_run, reused = list[Trial](), list[Trial]()
        for whole in block:
            variants = tuple(v for v in whole.variants if not self._use(whole, v, index.find(whole.failure_id(v))))
            if not variants or not variants[0].is_baseline:
                continue  # nothing to compare with: the record of each variant says so
            trial = dataclasses.replace(whole, variants=variants)
            if index.has_session(trial):
                reused.append(trial)
                for variant in variants:
                    self._use(trial, variant, index.find(trial.id(variant)))
            else:
                to_run.append(trial)
        self.to_run += [block_of(to_run)] if to_run else []
        self.reused += [block_of(reused)] if reused else []

    def _use(self, trial: Trial, variant: Variant, found: Sequence[Record]) -> bool:
        """Notes the records of a variant, and copies for variants that share them; returns whether there are any."""
        if not found:
            return False
        self.failures |= {record.id: record for record in found if record.failed}
        known = {(record.variant, record.settings.get("recipe", "same")) for record in found}
        rows = [row for row in trial.rows(variant) if (row.name, trial.recipe) not in known]
        self.copies += [for_variant(found[0], trial, row) for row in rows]
        return True


def for_variant(record: Record, trial: Trial, variant: Variant) -> Record:
    """The record, rewritten for another variant that shares the measurement."""
    limit = {key: value for key, value in record.settings.items() if key == "timeout_s"}
    return dataclasses.replace(
        record,
        variant=variant.name,
        axes=dict(variant.axes),
        config=None if variant.model is None else as_dict(variant.model),
        settings={**trial.about(variant), **limit},
    )


def group_sessions(copies: Iterable[Record]) -> list[Record]:
    """The copies in writing order: the records of one timing session together, with their number."""
    groups: dict[tuple[str, str | None], list[Record]] = defaultdict(list)
    for record in copies:
        groups[record.kind, record.session].append(record)
    return [
        record
        if session is None
        else dataclasses.replace(record, settings=record.settings | {"session_size": len(own)})
        for (_, session), own in groups.items()
        for record in own
    ]
