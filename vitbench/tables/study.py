"""``Study``: an ablation's latest plan with its records, read from one or several results folders."""

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
from vitbench.tables.merge_folders import (
    duplicates_note,
    incompatibility,
    merged_records,
    read_part,
    relabelled,
    short_name,
)
from vitbench.tables.planned import Planned
from vitbench.tables.select_records import latest_per_key, recipe_of, records_of_plan
from vitbench.utils.errors import UserError

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class Study:
    """An ablation's plan and its records, one per measurement.

    Attributes:
        ablation: name of the ablation.
        plan: the values of the latest plan record.
        settings: the settings of the plan.
        code: version and commit that wrote the plan.
        variants: the rows of the table, baseline first.
        records: the records of the plan, in the order written; of several tries the last successful one, else the last.
        environments: hash → body.
        folders: the results folders.
        chosen: variant → tuned hyperparameters; empty without tuning or while tries are missing.
        remarks: sentences about measurements of other folders that were ignored or shown separately.
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
        """Kind → quantity, in the order of measuring; the plan declares those that are not built in."""
        return read_quantities(self.plan)

    @property
    def baseline(self) -> str:
        return next(v.name for v in self.variants if v.is_baseline)

    def of(self, kind: str, variant: str | None = None, *, ok: bool = True, tuned: bool = False) -> list[Record]:
        """The records of a kind, optionally of one variant; by default successful ones with the shared recipe.

        Args:
            kind: kind of record.
            variant: name of a variant; None: all.
            ok: whether to return only successful records.
            tuned: whether to return the trials with tuned hyperparameters instead.
        """
        return list((self._measured if ok else self._index).get((kind, variant, tuned), ()))

    def about(self, variant: str) -> Sequence[Record]:
        """All records of a variant, of every kind and status, in the order written."""
        return self._index.get((None, variant, False), ())

    def planned(self, variant: str) -> Planned | None:
        """The planned variant of that name; None if there is none."""
        return self._planned.get(variant)

    def only(self, variants: Collection[str]) -> Study:
        """The study restricted to some variants, which must include the baseline."""
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
        """(kind, variant, tuned) → records; None as kind or variant means any."""
        found: dict[tuple[str | None, str | None, bool], list[Record]] = {}
        for r in self.records:
            tuned = recipe_of(r) == "tuned"
            for key in ((r.kind, None, tuned), (r.kind, r.variant, tuned), (None, r.variant, False)):
                found.setdefault(key, []).append(r)
        return found

    @cached_property
    def _measured(self) -> Mapping[tuple[str | None, str | None, bool], list[Record]]:
        """``_index`` restricted to successful records."""
        return {key: [r for r in own if r.ok] for key, own in self._index.items()}

    def sessions(self, kind: str) -> Iterator[dict[str, Record]]:
        """Yields the joint sessions, variant → record: those that cover every variant first, then the latest first.

        Sessions with one id on two machines are separate. Among sessions that do not cover every variant, those with
        the baseline come first.
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
            session = found.pop(key, {})  # reinserted, so that the latest comes last
            session[record.variant] = record
            found[key] = session
        runnable = {v.name for v in self.variants if v.reason is None}
        latest_first = list(reversed(found.values()))
        return sorted(latest_first, key=lambda own: (not runnable <= own.keys(), self.baseline not in own))

    def control(self, kind: str, session: str | None) -> Record | None:
        """The record of the baseline's clone in a joint session; None without one."""
        return next((r for r in self.of(f"{kind}{CONTROL}") if r.session == session), None)

    def arrays(self, record: Record) -> dict[str, np.ndarray]:
        """The arrays of a record's artifacts; unreadable files are omitted with a warning."""
        found: dict[str, np.ndarray] = {}
        for name in record.artifacts:
            try:
                found |= reader.load_arrays(self._homes[record.id], name)
            except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
                why = (isinstance(error, OSError) and error.strerror) or "it is damaged"
                warnings.warn(f"artifact {name} of {record.variant} cannot be read: {why}", stacklevel=2)
        return found


def read_study(*directories: str | Path, notice: Notice = reader.warn, mixed: bool = False) -> Study:
    """The study in one results folder, or in several folders of one ablation.

    Args:
        directories: folders with ``records.jsonl``; duplicates are taken from the first folder.
        notice: called when the incomplete end of a file is ignored.
        mixed: whether to show a folder that is not comparable with the first (other settings, another machine) beside
            it, with each of its variants as a separate row ``NAME @ ORIGIN``.

    Raises:
        UserError: a folder has no records or no plan, or the folders differ in ablation or settings.
    """
    if not directories:
        raise UserError("no results folder was named: type python -m vitbench.report results/NAME")
    first, *others = (read_part(Path(directory), notice) for directory in directories)
    merged, beside, remarks = [first], [], []
    for part in others:
        apart = incompatibility(first, part, mixed=mixed)
        if apart and mixed:
            label = short_name(part, [other.folder for other in (first, *others)])
            beside.append(relabelled(part, label))
            remarks.append(
                f"Rows marked @ {label} come from another folder and are shown for reference only: {apart}. No "
                "differences are computed across the two; see that folder's own report for comparisons within it."
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
    """The variants of all plans without duplicates, baseline first; the first plan that has a variant declares it."""
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
