"""The registry of measured quantities. No torch, no pandas.

To add one of your own, declare a ``Quantity`` in a module beside the ablation file, and ``register`` it there. Each
quantity of vitbench is declared in a file of this package.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping
from typing import Any

from vitbench.declare.quantities import (
    accuracy,
    ceiling,
    cost,
    latency,
    memory,
    throughput,
    train_step,
    tuning,
)
from vitbench.declare.quantities.column import Column
from vitbench.declare.quantities.quantity import CONTROL, NOT_MEASURED, Per, Quantity
from vitbench.utils.errors import ConfigError, UserError, unknown

__all__ = [
    "BUILT_IN",
    "CONTROL",
    "NOT_MEASURED",
    "Column",
    "Quantity",
    "base_kind",
    "find_quantity",
    "kinds",
    "read_quantities",
    "register",
    "registered",
    "written_quantities",
]

BUILT_IN: Mapping[str, Quantity] = types.MappingProxyType(
    {
        module.QUANTITY.kind: module.QUANTITY
        for module in (cost, memory, ceiling, latency, train_step, throughput, accuracy, tuning)
    }
)

_registered = dict(BUILT_IN)


def register(quantity: Quantity) -> None:
    """Adds a quantity to what every ablation of this process measures; the same kind again replaces it.

    Raises:
        ConfigError: vitbench has a quantity or a column with that name.
    """
    if quantity.kind in BUILT_IN:
        raise ConfigError(f"vitbench itself measures {quantity.kind!r}: give your quantity another kind")
    taken = {
        column.name: other.kind for other in registered() if other.kind != quantity.kind for column in other.columns
    }
    for column in quantity.columns:
        if column.name in taken:
            raise ConfigError(
                f"{taken[column.name]!r} has a column {column.name!r}: give that of {quantity.kind!r} another name"
            )
    _registered[quantity.kind] = quantity


def registered() -> list[Quantity]:
    """All quantities in the order in which they are measured."""
    return sorted(_registered.values(), key=lambda quantity: quantity.order)


def kinds(*per: Per) -> tuple[str, ...]:
    """The kinds of all quantities, or of those that are measured per one of these, in the order of measuring."""
    return tuple(quantity.kind for quantity in registered() if not per or quantity.per in per)


def find_quantity(kind: str) -> Quantity:
    """The quantity with that kind.

    Raises:
        UserError: there is none.
    """
    if kind not in _registered:
        raise UserError(unknown("quantity", kind, kinds()))
    return _registered[kind]


def base_kind(kind: str) -> str:
    """The quantity that a record's kind belongs to, also for the clone of the baseline."""
    return kind.removesuffix(CONTROL)


def written_quantities(measured: Iterable[str]) -> list[dict[str, Any]]:
    """The declarations that a plan record keeps: of measured quantities that are not built in."""
    return [find_quantity(kind).as_dict() for kind in measured if kind not in BUILT_IN]


def read_quantities(plan: Mapping[str, Any]) -> dict[str, Quantity]:
    """Kind → quantity, in the order of measuring, for the values of a plan record: the built-in ones and its own."""
    own = map(Quantity.from_dict, plan.get("quantities") or ())
    known = {**BUILT_IN, **{quantity.kind: quantity for quantity in own}}
    return {quantity.kind: quantity for quantity in sorted(known.values(), key=lambda quantity: quantity.order)}
