"""Which records count for a study: of a planned variant, under the plan's settings, one for each thing measured."""

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


def belonging(
    records: Sequence[Record], plan: Record, variants: Sequence[Planned], tuned: Mapping[str, Chosen]
) -> list[Record]:
    """The records of planned variants, of their very configs, and made under the plan's settings or the axes'.

    A field that an older version did not know has its default's value. What tuning tries and chooses may differ from
    the recipe: of tuned trials those count that were trained with what was chosen. What records have in common is one
    object (``records.ALIKE``), and is looked at once.
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
    """Whether each setting that differs from the plan's is the variant's by an axis, or what tuning tried or chose."""
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
    """What a trial was trained with in place of the recipe's own."""
    train = record.settings.get("train") or {}
    return [(path, train.get(path.removeprefix("train."))) for path in TUNED_FIELDS]


def recipe_of(record: Record) -> str:
    """``same`` for the recipe that all variants share, ``tuned`` for what a variant's own tuning chose."""
    return str(record.settings.get("recipe") or "same")


def thing(record: Record) -> tuple[str, str, str]:
    """What tells records apart: one measurement may stand for several variants, under one id."""
    return record.id, record.variant, recipe_of(record)


def one_each(found: Iterable[Record]) -> list[Record]:
    """One record for each thing measured: of several tries the last that succeeded, else the last."""
    kept: dict[tuple[Any, ...], Record] = {}
    for record in found:
        key = (record.kind, record.variant, record.seed, record.session, recipe_of(record), record.settings.get("try"))
        if record.ok or key not in kept or not kept[key].ok:
            kept[key] = record
    return list(kept.values())
