"""Merging of several results folders of one ablation, and relabelling of those shown side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vitbench.declare.quantities import Quantity, read_quantities
from vitbench.records import reader
from vitbench.records.comparability import Mismatch, describe, differences, mismatches
from vitbench.records.reader import Notice
from vitbench.records.record import Record
from vitbench.tables.select_records import record_key
from vitbench.utils.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Part:
    """The contents of one results folder.

    Attributes:
        folder: path of the folder.
        plan: the latest plan record.
        records: all records, in the order written.
        environments: hash → body.
        original: the plan's values before relabelling.
        label: the suffix of all names in a relabelled folder.
    """

    folder: Path
    plan: Record
    records: Sequence[Record]
    environments: Mapping[str, dict[str, Any]]
    original: Mapping[str, Any]
    label: str = ""


def read_part(folder: Path, notice: Notice) -> Part:
    """The contents of a results folder.

    Raises:
        UserError: the folder has no records, or no plan.
    """
    own = reader.read(folder, notice)
    if not own:
        raise UserError(f"{folder} holds no records yet: run python -m vitbench.ablate NAME --results {folder}")
    plan = next((r for r in reversed(own) if r.kind == "plan"), None)
    if plan is None:
        raise UserError(
            f"{folder} holds records but no plan: run python -m vitbench.ablate NAME --results {folder} again"
        )
    environments = reader.read_environments(folder)
    return Part(folder=folder, plan=plan, records=own, environments=environments, original=plan.values)


def merged_records(parts: Sequence[Part]) -> list[Record]:
    """The records of all folders; duplicates are taken from the first folder."""
    if len(parts) == 1:
        return list(parts[0].records)
    found: list[Record] = []
    known: set[tuple[str, str, str]] = set()
    for part in parts:
        found += [r for r in part.records if record_key(r) not in known]
        known |= {record_key(r) for r in part.records}
    return found


def incompatibility(first: Part, other: Part, *, mixed: bool) -> str:
    """The reason why a folder is not comparable with the first; empty if it is.

    Raises:
        UserError: the folder is of another ablation, or, unless ``mixed``, of other settings.
    """
    if first.plan.ablation != other.plan.ablation:
        raise UserError(
            f"{first.folder} is of {first.plan.ablation!r} and {other.folder} of {other.plan.ablation!r}: "
            "only one ablation's folders merge"
        )
    found = [Mismatch(*difference) for difference in differences(first.plan.settings, other.plan.settings)]
    if found and not mixed:
        path, mine, theirs = found[0].name, found[0].ours, found[0].theirs
        raise UserError(
            f"{first.folder} and {other.folder} cannot be merged: {path} is {mine!r} in the one and {theirs!r} in the "
            "other; report them apart, run one again under the other's settings, or add --allow-mixed to see them side "
            "by side, with nothing subtracted across them"
        )
    return describe([*(Mismatch(m.name, m.theirs, m.ours) for m in found), *_mismatches(first, other)])


def duplicates_note(first: Part, other: Part, why: str) -> str:
    """A warning that a folder is not comparable with the first, with the number of duplicates ignored."""
    known = {record_key(r) for r in first.records}
    hidden = sum(record_key(r) in known for r in other.records if r.kind in _compared(first))
    both = f"; {hidden} of its measurements also exist in the first folder; the first folder's are used"
    hint = " (--allow-mixed shows both side by side)"
    return f"The merged folders differ: {why}{both * bool(hidden)}{hint}. Only comparable measurements are compared."


def short_name(part: Part, folders: Sequence[Path]) -> str:
    """A short distinguishing name: the last path component that differs in every folder, else the full path."""
    paths = [folder.resolve().parts for folder in folders]
    own, depth = part.folder.resolve().parts, min(map(len, paths))
    for place in range(1, depth + 1):
        if len({path[-place] for path in paths}) == len(paths):
            return own[-place]
    return str(part.folder)


def relabelled(part: Part, label: str) -> Part:
    """The folder with variants, records and sessions renamed to be unique."""

    def named(name: str) -> str:
        return f"{name} @ {label}"

    own = [
        replace(
            r,
            id=named(r.id),
            variant=named(r.variant) if r.variant else "",
            session=None if r.session is None else named(r.session),
        )
        for r in part.records
    ]
    rows = [
        {**v, "name": named(v["name"]), "curve": named(v.get("curve") or v["name"])}
        for v in part.plan.values["variants"]
    ]
    plan = replace(part.plan, values={**part.plan.values, "variants": rows})
    return replace(part, records=own, plan=plan, label=label)


def _compared(part: Part) -> dict[str, Quantity]:
    """Kind → quantity, for quantities that are compared between variants."""
    quantities = sorted(read_quantities(part.plan.values).values(), key=lambda quantity: -quantity.order)
    return {quantity.kind: quantity for quantity in quantities if quantity.per not in {"machine", "try"}}


def _mismatches(first: Part, other: Part) -> list[Mismatch]:
    """The differences, other than settings, from all of the first folder's records of the same kind."""
    environments = {**first.environments, **other.environments}
    found: dict[str, Mismatch] = {}
    for kind, quantity in _compared(first).items():
        ours, theirs = (_one_per_environment(kind, part) for part in (first, other))
        for one in theirs:
            apart = [mismatches(quantity, one, two, environments, settings=False) for two in ours]
            if all(apart):
                found |= {m.name: m for differing in apart[:1] for m in differing if m.name not in found}
    return list(found.values())


def _one_per_environment(kind: str, part: Part) -> list[Record]:
    """One record of a kind per environment and component versions."""
    seen: dict[str, Record] = {}
    for record in part.records:
        if record.kind == kind and record.ok:
            seen.setdefault(f"{record.environment} {sorted((record.code.get('components') or {}).items())}", record)
    return list(seen.values())
