"""Selects the records of a study: planned variants under the plan's settings, one record per measurement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vitbench.declare.quantities import base_kind, read_quantities
from vitbench.declare.serialize import non_default_fields, with_defaults
from vitbench.records.comparability import differences
from vitbench.records.record import Record
from vitbench.records.tuning_outcome import Chosen

if TYPE_CHECKING:
    from vitbench.tables.planned import Planned

TUNED_FIELDS = ("train.lr", "train.weight_decay")

SETTINGS = ("data", "train", "measure", "device")

MISSING = object()


def records_of_plan(
    records: Sequence[Record], plan: Record, variants: Sequence[Planned], tuned: Mapping[str, Chosen]
) -> list[Record]:
    """The records of planned variants with exactly the planned config, measured under the plan's or the axis' settings.

    Fields missing from a record have their defaults. Tuning tries may differ from the recipe in the tuned fields; tuned
    trials must have the chosen values. The reader shares equal configs and settings between records, so each is
    compared once per object.
    """
    planned = {v.name: v for v in reversed(variants)}
    quantities = read_quantities(plan.values)
    known = {*quantities, "skip"}
    under = {kind for kind, quantity in quantities.items() if quantity.measured_under}
    trained = {name: plan.settings[name] for name in SETTINGS if name in plan.settings}
    measured = {**trained, **(plan.settings.get("measure") or {})}
    asked = {False: with_defaults(trained), True: with_defaults(measured)}
    apart: dict[tuple[bool, int], list[tuple[str, Any]]] = {}
    same: dict[tuple[str, int], bool] = {}
    found = []
    for record in records:
        variant = planned.get(record.variant)
        kind = base_kind(record.kind)
        if kind not in known or variant is None:
            continue
        if record.config is not None:
            pair = record.variant, id(record.config)
            if pair not in same:
                same[pair] = _same_config(record.config, variant.config)
            if not same[pair]:
                continue
        key = kind in under, id(record.settings)
        if key not in apart:
            theirs = with_defaults(record.settings)
            apart[key] = [(path, value) for path, _, value in differences(asked[key[0]], theirs)]
        plainly = not apart[key] and recipe_of(record) != "tuned"
        if plainly or _excused(record, variant, apart[key], tuned):
            found.append(record)
    return found


def _excused(record: Record, variant: Planned, apart: Sequence[tuple[str, Any]], tuned: Mapping[str, Chosen]) -> bool:
    """Whether every setting that differs from the plan's is set by an axis of the variant or by its tuning."""
    free: Mapping[str, Any] = {}
    if recipe_of(record) == "tuned":
        if record.variant not in tuned:
            return False
        winner = tuned[record.variant]
        free = dict(zip(TUNED_FIELDS, (winner.lr, winner.weight_decay), strict=True))
        if dict(_tuned_values(record)) != free:
            return False
    elif record.kind == "tuning":
        free = dict(_tuned_values(record))
    return all(
        path in free or any(variant.axes.get(axis, MISSING) == value for axis in (path, f"measure.{path}"))
        for path, value in apart
    )


def _same_config(ours: Mapping[str, Any], theirs: Mapping[str, Any] | None) -> bool:
    return theirs is not None and (ours == theirs or non_default_fields(ours) == non_default_fields(theirs))


def _tuned_values(record: Record) -> list[tuple[str, Any]]:
    """(path, value) of the tuned fields in a trial's settings."""
    train = record.settings.get("train") or {}
    return [(path, train.get(path.removeprefix("train."))) for path in TUNED_FIELDS]


def recipe_of(record: Record) -> str:
    """``same`` for the recipe that all variants share, ``tuned`` for a variant's tuned hyperparameters."""
    return str(record.settings.get("recipe") or "same")


def record_key(record: Record) -> tuple[str, str, str]:
    """The key of a record; variants that share a measurement share its id."""
    return record.id, record.variant, recipe_of(record)


def latest_per_key(found: Iterable[Record]) -> list[Record]:
    """One record per measurement: the last successful try, else the last."""
    kept: dict[tuple[Any, ...], Record] = {}
    for record in found:
        key = (record.kind, record.variant, record.seed, record.session, recipe_of(record), record.settings.get("try"))
        if record.ok or key not in kept or not kept[key].ok:
            kept[key] = record
    return list(kept.values())
