"""Which records count: those of the latest plan, made under its settings; several folders may hold them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitbench import records
from vitbench.errors import UserError
from vitbench.records import Notice, Record
from vitbench.tables.belonging import belongs, differences, one_each, recipe_of, thing
from vitbench.tuning import Chosen, chosen

if TYPE_CHECKING:
    import numpy as np

JOINT = ("latency", "train_step", "throughput")
"""Kinds measured together; who could not take part has a failed record outside the session."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A variant as the plan declares it.

    Attributes:
        curve: what the rows are called together that differ in nothing but their training images.
        images: how many those are, where the plan says it.
    """

    name: str
    axes: Mapping[str, Any]
    family: str
    is_baseline: bool
    is_reference: bool
    config: Mapping[str, Any] | None
    reason: str | None  # why it cannot be built
    curve: str = ""
    images: int | None = None


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

    @property
    def baseline(self) -> str:
        return next(v.name for v in self.variants if v.is_baseline)

    def of(self, kind: str, variant: str | None = None, *, ok: bool = True, tuned: bool = False) -> list[Record]:
        """The records of a kind, and of a variant; by default those that hold a measurement, of the recipe all share.

        ``tuned``: instead those that were trained with what their own tuning chose.
        """
        return [
            r
            for r in self.records
            if r.kind == kind
            and variant in {None, r.variant}
            and (r.status == "ok" or not ok)
            and (recipe_of(r) == "tuned") == tuned
        ]

    def sessions(self, kind: str) -> Iterator[dict[str, Record]]:
        """The joint timings, variant → record: the latest that covers every variant first, then the latest."""
        found: dict[str, dict[str, Record]] = {}
        for record in self.of(kind):
            session = found.pop(record.session or "", {})  # taken out and put back: the latest stands last
            found[record.session or ""] = {**session, record.variant: record}
        runnable = {v.name for v in self.variants if v.reason is None}
        latest_first = list(reversed(found.values()))
        yield from sorted(latest_first, key=lambda session: not runnable <= session.keys())

    def control(self, kind: str, session: str | None) -> Record | None:
        """The baseline's clone of a joint timing of that kind."""
        return next((r for r in self.of(f"{kind}_control") if r.session == session), None)

    def arrays(self, record: Record) -> dict[str, np.ndarray]:
        """The arrays of a record's artifacts; those whose files are gone are left out, with a warning."""
        found: dict[str, np.ndarray] = {}
        for name in record.artifacts:
            try:
                found |= records.load_arrays(self._homes[record.id], name)
            except (OSError, ValueError) as error:
                warnings.warn(f"artifact {name} of {record.variant} cannot be read: {error}", stacklevel=2)
        return found


def read_study(*directories: str | Path, notice: Notice = records.warn) -> Study:
    """The study that one results folder holds, or several folders of one ablation together.

    Args:
        directories: folders with ``records.jsonl``; of two records with one id the first folder's stands.
        notice: told about a torn end that was left out.

    Raises:
        UserError: no records, no plan, or folders of different ablations or settings, with what differs.
    """
    folders = [Path(directory) for directory in directories]
    if not folders:
        raise UserError("no results folder was named: type python -m vitbench.report results/NAME")
    plans: list[Record] = []
    everything: list[Record] = []
    homes: dict[str, Path] = {}
    known: set[tuple[str, str, str]] = set()
    environments: dict[str, dict[str, Any]] = {}
    for folder in folders:
        own = records.read(folder, notice)
        plan = next((r for r in reversed(own) if r.kind == "plan"), None)
        if plan is None:
            raise UserError(
                f"{folder} holds records but no plan: run python -m vitbench.ablate NAME --results {folder} again"
            )
        plans.append(plan)
        everything += [r for r in own if thing(r) not in known]
        known |= {thing(r) for r in own}
        homes = {r.id: folder for r in own} | homes
        environments |= records.read_environments(folder)
    for folder, plan in zip(folders[1:], plans[1:], strict=True):
        _same_ablation(folders[0], plans[0], folder, plan)
    variants = _variants(plans)
    tuned = chosen(plans[0].values, everything)
    belonging = one_each(r for r in everything if r.kind != "plan" and belongs(r, plans[0], variants, tuned))
    return Study(
        ablation=plans[0].ablation,
        plan=plans[0].values,
        settings=plans[0].settings,
        code=plans[0].code,
        variants=variants,
        records=belonging,
        environments=environments,
        folders=folders,
        chosen=tuned,
        _homes=homes,
    )


def _same_ablation(first: Path, ours: Record, second: Path, theirs: Record) -> None:
    if ours.ablation != theirs.ablation:
        raise UserError(
            f"{first} is of {ours.ablation!r} and {second} of {theirs.ablation!r}: only one ablation's folders merge"
        )
    found = next(differences(ours.settings, theirs.settings), None)
    if found is not None:
        path, mine, other = found
        raise UserError(
            f"{first} and {second} cannot be merged: {path} is {mine!r} in the one and {other!r} in the other; "
            "report them apart, or run one again under the other's settings"
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
