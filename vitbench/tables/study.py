"""Which records count: those of the latest plan, made under its settings; several folders may hold them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitbench import records
from vitbench.errors import UserError
from vitbench.records import Notice, Record

if TYPE_CHECKING:
    import numpy as np

TRAINED_OR_COUNTED = ("accuracy", "cost")  # kinds that the measuring settings say nothing about
JOINT = ("latency", "train_step", "throughput")
"""Kinds measured together; who could not take part has a failed record outside the session."""

MISSING = object()


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A variant as the plan declares it."""

    name: str
    axes: Mapping[str, Any]
    family: str
    is_baseline: bool
    is_reference: bool
    config: Mapping[str, Any] | None
    reason: str | None  # why it cannot be built


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
    """

    ablation: str
    plan: Mapping[str, Any]
    settings: Mapping[str, Any]
    code: Mapping[str, Any]
    variants: Sequence[Planned]
    records: Sequence[Record]
    environments: Mapping[str, Mapping[str, Any]]
    folders: Sequence[Path]
    _homes: Mapping[str, Path] = field(repr=False)

    @property
    def baseline(self) -> str:
        return next(v.name for v in self.variants if v.is_baseline)

    def of(self, kind: str, variant: str | None = None, *, ok: bool = True) -> list[Record]:
        """The records of a kind, and of a variant; by default those that hold a measurement."""
        return [
            r for r in self.records if r.kind == kind and variant in {None, r.variant} and (r.status == "ok" or not ok)
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
    environments: dict[str, dict[str, Any]] = {}
    for folder in folders:
        own = records.read(folder, notice)
        plan = next((r for r in reversed(own) if r.kind == "plan"), None)
        if plan is None:
            raise UserError(
                f"{folder} holds records but no plan: run python -m vitbench.ablate NAME --results {folder} again"
            )
        plans.append(plan)
        known = set(homes)
        everything += [r for r in own if r.id not in known]
        homes |= {r.id: folder for r in own if r.id not in known}
        environments |= records.read_environments(folder)
    for folder, plan in zip(folders[1:], plans[1:], strict=True):
        _same_ablation(folders[0], plans[0], folder, plan)
    variants = _variants(plans)
    belonging = _one_each(r for r in everything if r.kind != "plan" and _belongs(r, plans[0], variants))
    return Study(
        ablation=plans[0].ablation,
        plan=plans[0].values,
        settings=plans[0].settings,
        code=plans[0].code,
        variants=variants,
        records=belonging,
        environments=environments,
        folders=folders,
        _homes=homes,
    )


def differences(ours: Any, theirs: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two settings that both name a thing differ in it: (dotted path, ours, theirs)."""
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        for key in [k for k in ours if k in theirs]:
            yield from differences(ours[key], theirs[key], f"{path}.{key}" if path else key)
    elif ours != theirs:
        yield path, ours, theirs


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
                ),
            )
    return sorted(found.values(), key=lambda v: not v.is_baseline)


def _belongs(record: Record, plan: Record, variants: Sequence[Planned]) -> bool:
    """Whether a record is of a planned variant, its very config, and made under the plan's settings or the axes'."""
    variant = next((v for v in variants if v.name == record.variant), None)
    if variant is None or (record.config is not None and record.config != variant.config):
        return False
    asked = {room: plan.settings[room] for room in ("data", "train", "measure", "device") if room in plan.settings}
    if record.kind not in TRAINED_OR_COUNTED:
        asked |= plan.settings.get("measure") or {}
    return all(
        any(variant.axes.get(axis, MISSING) == value for axis in (path, f"measure.{path}"))
        for path, _, value in differences(asked, record.settings)
    )


def _one_each(found: Iterable[Record]) -> list[Record]:
    """One record for each thing measured: of several tries the last that succeeded, else the last."""
    kept: dict[tuple[Any, ...], Record] = {}
    for record in found:
        key = (record.kind, record.variant, record.seed, record.session)
        if record.ok or key not in kept or not kept[key].ok:
            kept[key] = record
    return list(kept.values())
