"""Which records count: those of the latest plan, made under its settings; several folders may hold them."""

from __future__ import annotations

import warnings
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitbench.declare.quantities import CONTROL, Quantity, read_quantities
from vitbench.records import reader
from vitbench.records.reader import Notice
from vitbench.records.record import Record
from vitbench.records.tuning_outcome import Chosen, chosen
from vitbench.tables.merge_folders import duplicates_note, incompatibility, marked, merged_records, origin, read_part
from vitbench.tables.planned import Planned
from vitbench.tables.select_records import latest_per_key, recipe_of, records_of_plan
from vitbench.utils.errors import UserError

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class Study:
    """An ablation's plan and the records that belong to it, one for each thing measured.

    Attributes:
        ablation: its name.
        plan: the values of the latest plan record.
        settings: what every record was made under.
        code: version and commit, as the plan noted them.
        variants: the rows of the table, baseline first.
        records: everything that belongs, in the order written; of several tries the one that succeeded, or the last.
        environments: hash → body.
        folders: where the records lie.
        chosen: variant → what its tuning chose; nothing without tuning, or while tries are missing.
        remarks: what reading several folders left out or set apart, in sentences.
    """

    ablation: str
    plan: Mapping[str, Any]
    settings: Mapping[str, Any]
    code: Mapping[str, Any]
    variants: Sequence[Planned]
    records: Sequence[Record]
    environments: Mapping[str, Mapping[str, Any]]
    folders: Sequence[Path]
    chosen: Mapping[str, Chosen]
    _homes: Mapping[str, Path] = field(repr=False)
    remarks: Sequence[str] = ()

    @cached_property
    def quantities(self) -> Mapping[str, Quantity]:
        """Kind → what was measured, in the order of measuring; the plan holds those that vitbench does not have."""
        return read_quantities(self.plan)

    @property
    def baseline(self) -> str:
        return next(v.name for v in self.variants if v.is_baseline)

    def of(self, kind: str, variant: str | None = None, *, ok: bool = True, tuned: bool = False) -> list[Record]:
        """The records of a kind, and of a variant; by default those that hold a measurement, of the recipe all share.

        ``tuned``: instead those that were trained with what their own tuning chose.
        """
        return list((self._measured if ok else self._index).get((kind, variant, tuned), ()))

    def about(self, variant: str) -> Sequence[Record]:
        """All records of a variant, of every kind and status, in the order written."""
        return self._index.get((None, variant, False), ())

    def planned(self, variant: str) -> Planned | None:
        """A variant by its name."""
        return self._planned.get(variant)

    def only(self, variants: Collection[str]) -> Study:
        """The same study of fewer variants; the baseline has to be one of them."""
        return replace(
            self,
            variants=[v for v in self.variants if v.name in variants],
            records=[r for r in self.records if r.variant in variants],
            chosen={name: won for name, won in self.chosen.items() if name in variants},
        )

    @cached_property
    def _planned(self) -> Mapping[str, Planned]:
        return {v.name: v for v in reversed(self.variants)}

    @cached_property
    def _index(self) -> Mapping[tuple[str | None, str | None, bool], list[Record]]:
        """(kind, variant, of tuned trials) → records; None stands for every kind or variant."""
        found: dict[tuple[str | None, str | None, bool], list[Record]] = {}
        for r in self.records:
            tuned = recipe_of(r) == "tuned"
            for key in ((r.kind, None, tuned), (r.kind, r.variant, tuned), (None, r.variant, False)):
                found.setdefault(key, []).append(r)
        return found

    @cached_property
    def _measured(self) -> Mapping[tuple[str | None, str | None, bool], list[Record]]:
        """The same, of those that hold a measurement."""
        return {key: [r for r in own if r.ok] for key, own in self._index.items()}

    def sessions(self, kind: str) -> Iterator[dict[str, Record]]:
        """The joint timings, variant → record: the latest that covers every variant first, then the latest.

        A session is of one machine: what another one recorded under the same id is a session of its own. Of those
        that do not cover every variant, the ones with the baseline come first.
        """
        if kind not in self._sessions:
            self._sessions[kind] = self._joint(kind)
        yield from self._sessions[kind]

    @cached_property
    def _sessions(self) -> dict[str, list[dict[str, Record]]]:
        return {}

    def _joint(self, kind: str) -> list[dict[str, Record]]:
        found: dict[tuple[str, str], dict[str, Record]] = {}
        for record in self.of(kind):
            key = record.session or "", record.environment
            session = found.pop(key, {})  # taken out and put back: the latest stands last
            session[record.variant] = record
            found[key] = session
        runnable = {v.name for v in self.variants if v.reason is None}
        latest_first = list(reversed(found.values()))
        return sorted(latest_first, key=lambda own: (not runnable <= own.keys(), self.baseline not in own))

    def control(self, kind: str, session: str | None) -> Record | None:
        """The baseline's clone of a joint timing of that kind."""
        return next((r for r in self.of(f"{kind}{CONTROL}") if r.session == session), None)

    def arrays(self, record: Record) -> dict[str, np.ndarray]:
        """The arrays of a record's artifacts; those whose files are gone are left out, with a warning."""
        found: dict[str, np.ndarray] = {}
        for name in record.artifacts:
            try:
                found |= reader.load_arrays(self._homes[record.id], name)
            except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
                why = (isinstance(error, OSError) and error.strerror) or "it is damaged"
                warnings.warn(f"artifact {name} of {record.variant} cannot be read: {why}", stacklevel=2)
        return found


def read_study(*directories: str | Path, notice: Notice = reader.warn, mixed: bool = False) -> Study:
    """The study that one results folder holds, or several folders of one ablation together.

    Args:
        directories: folders with ``records.jsonl``; of two records with one id the first folder's stands.
        notice: told about a torn end that was left out.
        mixed: whether a folder whose numbers must not be subtracted from the first's (other settings, another machine)
            stands beside it: each of its variants is a row of its own, ``NAME @ ORIGIN``.

    Raises:
        UserError: no records, no plan, or folders of different ablations or settings, with what differs.
    """
    if not directories:
        raise UserError("no results folder was named: type python -m vitbench.report results/NAME")
    first, *others = (read_part(Path(directory), notice) for directory in directories)
    merged, beside, remarks = [first], [], []
    for part in others:
        apart = incompatibility(first, part, mixed=mixed)
        if apart and mixed:
            label = origin(part, [other.folder for other in (first, *others)])
            beside.append(marked(part, label))
            remarks.append(
                f"Rows marked @ {label} are of another folder and stand side by side with the others: {apart}. Nothing "
                "is subtracted across where that matters; what its own rows say of each other, its own report says."
            )
        else:
            merged.append(part)
            remarks += [duplicates_note(first, part, apart)] if apart else []
    homes: dict[str, Path] = {}
    environments: dict[str, dict[str, Any]] = {}
    for part in (*merged, *beside):
        homes = {r.id: part.folder for r in part.records} | homes
        environments |= part.environments
    variants = _variants([part.plan for part in merged])
    together = merged_records(merged)
    tuned = chosen(first.plan.values, together)
    found = records_of_plan(together, first.plan, variants, tuned)
    for part in beside:
        own = [replace(v, is_baseline=False, origin=part.label) for v in _variants([part.plan])]
        best = {f"{name} @ {part.label}": won for name, won in chosen(part.original, part.records).items()}
        best = {name: replace(won, of=f"{won.of} @ {part.label}") for name, won in best.items()}
        found += records_of_plan(part.records, part.plan, own, best)
        variants, tuned = [*variants, *own], {**tuned, **best}
    return Study(
        ablation=first.plan.ablation,
        plan=first.plan.values,
        settings=first.plan.settings,
        code=first.plan.code,
        variants=variants,
        records=latest_per_key(found),
        environments=environments,
        folders=[part.folder for part in (first, *others)],
        chosen=tuned,
        _homes=homes,
        remarks=remarks,
    )


def _variants(plans: Sequence[Record]) -> list[Planned]:
    """The first plan's variants, then those that only a later one has; the baseline first."""
    found: dict[str, Planned] = {}
    for plan in plans:
        for v in plan.values["variants"]:
            found.setdefault(
                v["name"],
                Planned(
                    name=v["name"],
                    axes=v.get("axes") or {},
                    family=v.get("family") or "",
                    is_baseline=bool(v.get("is_baseline")),
                    is_reference=bool(v.get("is_reference")),
                    config=v.get("config"),
                    reason=v.get("reason"),
                    curve=v.get("curve") or v["name"],
                    images=v.get("images"),
                ),
            )
    return sorted(found.values(), key=lambda v: not v.is_baseline)
