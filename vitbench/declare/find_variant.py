"""From what a claim or a person calls a row to the row. No torch."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from vitbench.declare.variant import Variant, format_value
from vitbench.utils.errors import ConfigError, choices, unknown

MOST_NAMED = 100
"""Rows that a message names; of more, those whose names are nearest."""


def find(rows: Mapping[str, Variant], wanted: Any, axes: Collection[str]) -> Variant:
    """The row that says so; or the only one that changes an axis to that value; or the baseline that has it.

    Args:
        rows: by name, the baseline first; without those that have a name of their own.
        wanted: ``depth=4``, of a reference ``NAME,train.lr=0.001``, or an axis value. What it does not say is the
            baseline's.
        axes: among whose values it is looked for.

    Raises:
        ConfigError: there is none, or more than one.
    """
    own = [row for row in rows.values() if not row.is_reference]
    base = own[0].axes
    found = list(_said(rows, str(wanted), base))
    found = found or [row for row in own if any(row.axes[axis] == wanted != base[axis] for axis in axes)]
    found = found or [row for row in own[:1] if wanted in [base[axis] for axis in axes]]
    if not found:
        near: Sequence[str] = list(rows)
        near = near if len(near) <= MOST_NAMED else difflib.get_close_matches(str(wanted), near, n=8, cutoff=0.0)
        raise ConfigError(unknown("variant", wanted, near))
    if len(found) > 1:
        raise ConfigError(f"variant {wanted!r} could be {choices(row.name for row in found)}: write the whole name")
    return found[0]


def _said(rows: Mapping[str, Variant], wanted: str, base: Mapping[str, Any]) -> Iterator[Variant]:
    """The rows whose settings ``wanted`` spells out."""
    parts = wanted.split(",")
    reference = None if "=" in parts[0] else parts.pop(0)
    said = {axis: value for axis, _, value in (part.partition("=") for part in parts)}
    if not said:
        return
    meant = {axis: format_value(value) for axis, value in base.items()} | said
    for row in rows.values():
        same = row.reference == reference and said.keys() <= row.axes.keys()
        if same and all(format_value(value) == meant[axis] for axis, value in row.axes.items()):
            yield row
