"""Designs: which combinations of the axes' values are rows. Each is made when it is asked for. No torch."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias

from vitbench.utils.errors import ConfigError, choices

Design: TypeAlias = Literal["one_at_a_time", "grid", "leave_one_out", "add_one_in", "random"]

Axes: TypeAlias = Mapping[str, tuple[Any, ...]]
"""Setting → the values that it takes."""

ENDS = ("leave_one_out", "add_one_in")
"""Designs from one end of the components to the other."""

CROSSED = ("grid", "random")
"""Designs in which any value meets any other: a row's name says all of them."""

MOST_CELLS = 1_000_000
"""Of a full grid; a larger one would take minutes to check, and nobody trains it."""


def cells(
    design: Design, base: Mapping[str, Any], axes: Axes, *, sample: int | None = None, seed: int = 0
) -> Iterator[dict[str, Any]]:
    """``base``, then the settings of every other row, each once, in an order that adding rows at the end keeps.

    Args:
        design: ``one_at_a_time`` changes one axis a row; ``grid`` has every combination; ``leave_one_out`` and
            ``add_one_in`` switch one axis a row, and in the last row all of them; ``random`` draws from the grid.
        base: the baseline's settings; on axes and besides.
        axes: what varies, with its values.
        sample: rows of ``random``, the baseline among them.
        seed: of ``random``.

    Raises:
        ConfigError: a grid of more than a million cells, or an axis that cannot be switched.
    """
    yield dict(base)
    others = (cell for cell in _others(design, base, axes, seed) if cell != base)
    yield from itertools.islice(others, None if sample is None else sample - 1)


def _others(design: Design, base: Mapping[str, Any], axes: Axes, seed: int) -> Iterator[dict[str, Any]]:
    """The design's rows, wherever the baseline stands among them."""
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
    """One axis after another at its other value, then all of them at once."""
    other: dict[str, Any] = {}
    for axis, values in axes.items():
        different = [value for value in values if value != base[axis]]
        if len(different) > 1:
            raise ConfigError(
                f"design={design!r} takes one value of an axis beside the baseline's {base[axis]}, "
                f"and axis {axis!r} has {choices(different)}: leave all but one out, or take another design"
            )
        if different:
            other[axis] = different[0]
    for axis, value in other.items():
        yield {**base, axis: value}
    if len(other) > 1:
        yield {**base, **other}


def _drawn(base: Mapping[str, Any], axes: Axes, seed: int) -> Iterator[dict[str, Any]]:
    """The cells of the grid in an order drawn from the seed: however many are taken, they are a uniform sample."""
    backwards = list(axes.items())[::-1]
    for number in shuffled(math.prod(map(len, axes.values())), seed):
        cell, rest = dict(base), number
        for axis, values in backwards:
            rest, index = divmod(rest, len(values))
            cell[axis] = values[index]
        yield cell


def shuffled(count: int, seed: int) -> Iterator[int]:
    """The numbers under ``count``, each once, in a uniformly random order that depends on the seed alone.

    The shuffle of Fisher and Yates (Durstenfeld 1964), with a table of those places alone that it has touched: the
    first n numbers take time and memory for n, whatever ``count`` is. Drawn by SHA-256, so that no version of Python
    changes them.
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
