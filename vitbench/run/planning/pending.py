"""Trials held against records: what is to be run, what is there, and what is there for others too. No torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

from vitbench.declare.ablation import Variant
from vitbench.records.record import Record
from vitbench.run.planning.lazy_trials import Block, block_of
from vitbench.run.planning.recorded import Recorded, copied
from vitbench.run.planning.trial import Trial


@dataclass
class Sorted:
    """Trials, put where they belong: to be run, or recorded, or in part.

    ``recorded`` is None where there are no records: whole blocks are then to be run, and no id is needed.
    """

    recorded: Recorded | None
    left: list[Block] = field(default_factory=list)
    reused: list[Block] = field(default_factory=list)
    failures: dict[str, Record] = field(default_factory=dict)
    copies: list[Record] = field(default_factory=list)

    def add(self, block: Block) -> None:
        if self.recorded is None:
            self.left.append(block)
        elif block.alone:
            self._add_sessions(block, self.recorded)
        else:
            there = [bool(self._noted(trial, trial.variants[0], self.recorded)) for trial in block]
            self.left.append(block.only(i for i, found in enumerate(there) if not found))
            self.reused.append(block.only(i for i, found in enumerate(there) if found))

    def _noted(self, trial: Trial, variant: Variant, recorded: Recorded) -> list[Record]:
        found = recorded.of(trial, variant)
        self._note(trial, variant, found)
        return found

    def _add_sessions(self, block: Block, recorded: Recorded) -> None:
        left, reused = list[Trial](), list[Trial]()
        for whole in block:
            able = tuple(v for v in whole.variants if not self._noted(whole, v, recorded))
            if not able or not able[0].is_baseline:
                continue  # nothing to compare with: each one's record says so
            trial = dataclasses.replace(whole, variants=able)
            session = recorded.session(trial)
            (left if session is None else reused).append(trial)
            for variant in able if session is not None else ():
                self._note(trial, variant, (session or {}).get(trial.id(variant), []))
        self.left += [block_of(left)] if left else []
        self.reused += [block_of(reused)] if reused else []

    def _note(self, trial: Trial, variant: Variant, found: Sequence[Record]) -> None:
        """What is recorded of the variant; those of whom it is true and who have no record of their own get a copy."""
        if not found:
            return
        self.failures |= {record.id: record for record in found if record.failed}
        known = {(record.variant, record.settings.get("recipe", "same")) for record in found}
        rows = [row for row in trial.rows(variant) if (row.name, trial.recipe) not in known]
        self.copies += [copied(found[0], trial, row) for row in rows]
