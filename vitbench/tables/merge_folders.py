"""Several results folders of one ablation: which of them merge, and how those that do not are set beside the others."""

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
from vitbench.tables.select_records import thing
from vitbench.utils.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one folder holds.

    Attributes:
        folder: its path.
        plan: its latest plan record.
        records: all, in the order written.
        environments: hash → body.
        original: the plan's values as they were written.
        label: of a folder that is set beside others; it stands in every name.
    """

    folder: Path
    plan: Record
    records: Sequence[Record]
    environments: Mapping[str, dict[str, Any]]
    original: Mapping[str, Any]
    label: str = ""


def read_part(folder: Path, notice: Notice) -> Part:
    """One folder.

    Raises:
        UserError: it holds no records, or no plan.
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
    """The records of all folders; what two of them measured stands once, as the first has it."""
    if len(parts) == 1:
        return list(parts[0].records)
    found: list[Record] = []
    known: set[tuple[str, str, str]] = set()
    for part in parts:
        found += [r for r in part.records if thing(r) not in known]
        known |= {thing(r) for r in part.records}
    return found


def incompatibility(first: Part, other: Part, *, mixed: bool) -> str:
    """What keeps a folder's numbers from being subtracted from the first one's; empty where nothing does.

    Raises:
        UserError: it is of another ablation, or, unless they may be mixed, of other settings.
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
    """That a folder's numbers are unlike the first's, and how many of them the first one's hide."""
    known = {thing(r) for r in first.records}
    hidden = sum(thing(r) in known for r in other.records if r.kind in _compared(first))
    left_out = f"; {hidden} of its measurements the first has too, and the first's stand" * bool(hidden)
    hint = " (--allow-mixed shows both side by side)"
    return f"The folders merged here are not alike: {why}{left_out}{hint}. Only what is alike is compared."


def origin(part: Part, folders: Sequence[Path]) -> str:
    """What tells a folder from the others: the last part of its path that all of them have to themselves, or it all."""
    paths = [folder.resolve().parts for folder in folders]
    own, depth = part.folder.resolve().parts, min(map(len, paths))
    for place in range(1, depth + 1):
        if len({path[-place] for path in paths}) == len(paths):
            return own[-place]
    return str(part.folder)


def marked(part: Part, label: str) -> Part:
    """The folder under names that nobody else has: of its variants, records, sessions."""

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
    """Kind → quantity of what is compared between variants: not what is measured of the machine."""
    quantities = sorted(read_quantities(part.plan.values).values(), key=lambda quantity: -quantity.order)
    return {quantity.kind: quantity for quantity in quantities if quantity.per not in {"machine", "try"}}


def _mismatches(first: Part, other: Part) -> list[Mismatch]:
    """What differs between a folder's records and all of the first one's of that kind, apart from settings."""
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
    """A record of every environment and version of the components under which a kind was measured."""
    seen: dict[str, Record] = {}
    for record in part.records:
        if record.kind == kind and record.ok:
            seen.setdefault(f"{record.environment} {sorted((record.code.get('components') or {}).items())}", record)
    return list(seen.values())
