"""Finds the variant that a claim or a user names."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from vitbench.declare.variant import Variant, format_value
from vitbench.utils.errors import ConfigError, choices, unknown

MOST_NAMED = 100
"""The most variants that a message lists; beyond that it lists the nearest names."""


def find(rows: Mapping[str, Variant], wanted: Any, axes: Collection[str]) -> Variant:
    """The variant of that name; or the only one with that value on an axis; or the baseline that has it.

    Args:
        rows: name → variant, the baseline first, without combined ones.
        wanted: ``depth=4``, ``NAME,train.lr=0.001`` for a reference, or an axis value. Settings that it leaves out are
            the baseline's.
        axes: the axes whose values are searched.

    Raises:
        ConfigError: no variant matches, or several do.
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
    """The variants whose settings ``wanted`` spells out."""
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
