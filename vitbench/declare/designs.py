"""Designs: which combinations of axis values become variants. Combinations are generated lazily."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias

from vitbench.utils.errors import ConfigError, choices

Design: TypeAlias = Literal["one_at_a_time", "grid", "leave_one_out", "add_one_in", "random"]

Axes: TypeAlias = Mapping[str, tuple[Any, ...]]
"""Setting → its values."""

CROSSED = ("grid", "random")
"""Designs that cross the axes: a variant's name states every axis."""

MOST_CELLS = 1_000_000
"""The most cells of a full grid; checking more would take minutes."""


def cells(
    design: Design, base: Mapping[str, Any], axes: Axes, *, sample: int | None = None, seed: int = 0
) -> Iterator[dict[str, Any]]:
    """``base``, then the settings of every other variant, each once; appended values do not change the order.

    Args:
        design: ``one_at_a_time`` changes one axis at a time; ``grid`` has every combination; ``leave_one_out`` and
            ``add_one_in`` switch one axis at a time and finally all of them; ``random`` draws from the grid.
        base: the baseline's settings, on the axes and besides.
        axes: what varies, with its values.
        sample: the number of variants of ``random``, the baseline included.
        seed: the seed of ``random``.

    Raises:
        ConfigError: the grid has more than a million cells, or an axis cannot be switched.
    """
    yield dict(base)
    others = (cell for cell in _others(design, base, axes, seed) if cell != base)
    yield from itertools.islice(others, None if sample is None else sample - 1)


def _others(design: Design, base: Mapping[str, Any], axes: Axes, seed: int) -> Iterator[dict[str, Any]]:
    """The cells of the design in its own order, the baseline included."""
    if design == "one_at_a_time":
        return ({**base, axis: value} for axis, values in axes.items() for value in values)
    if design == "grid":
        return _grid(base, axes)
    return _drawn(base, axes, seed) if design == "random" else _switched(design, base, axes)


def _grid(base: Mapping[str, Any], axes: Axes) -> Iterator[dict[str, Any]]:
    number = math.prod(map(len, axes.values()))
    if number > MOST_CELLS:
        raise ConfigError(
            f"the grid has {number:,} cells, more than {MOST_CELLS:,}: "
            "draw some of them with design='random', sample=1000, or type --sample 1000"
        )
    for values in itertools.product(*axes.values()):
        yield {**base, **dict(zip(axes, values, strict=True))}


def _switched(design: Design, base: Mapping[str, Any], axes: Axes) -> Iterator[dict[str, Any]]:
    """Each axis at its other value in turn, then all of them at once."""
    other: dict[str, Any] = {}
    for axis, values in axes.items():
        different = [value for value in values if value != base[axis]]
        if len(different) > 1:
            raise ConfigError(
                f"design={design!r} takes one value per axis besides the baseline's {base[axis]}, "
                f"and axis {axis!r} has {choices(different)}: keep one of them, or take another design"
            )
        if different:
            other[axis] = different[0]
    for axis, value in other.items():
        yield {**base, axis: value}
    if len(other) > 1:
        yield {**base, **other}


def _drawn(base: Mapping[str, Any], axes: Axes, seed: int) -> Iterator[dict[str, Any]]:
    """The cells of the grid in a random order: any number of the first ones is a uniform sample."""
    backwards = list(axes.items())[::-1]
    for number in shuffled(math.prod(map(len, axes.values())), seed):
        cell, rest = dict(base), number
        for axis, values in backwards:
            rest, index = divmod(rest, len(values))
            cell[axis] = values[index]
        yield cell


def shuffled(count: int, seed: int) -> Iterator[int]:
    """The numbers below ``count``, each once, in a uniformly random order that depends on the seed alone.

    A Fisher-Yates shuffle (Durstenfeld 1964) that stores only the places it has touched: the first n numbers take time
    and memory for n, whatever ``count`` is. SHA-256 draws them, so that every version of Python gives the same order.
    """
    moved: dict[int, int] = {}
    for place in range(count):
        drawn = int.from_bytes(hashlib.sha256(f"{seed}/{place}".encode()).digest(), "big")
        other = place + drawn % (count - place)
        here = moved.pop(place, place)
        if other == place:
            yield here
        else:
            yield moved.get(other, other)
            moved[other] = here
