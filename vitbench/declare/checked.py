"""Frozen dataclasses that check every field against its annotation on construction.

``dataclasses.replace`` makes the variants of a sweep and ``__post_init__`` validates them: a config that exists can be
built. The check of types is our own: beartype and typeguard accept a bool as a number, and beartype checks one item of
a tuple; pydantic would replace ``_fits`` alone, for a compiled dependency and 0.1 s at every ``--help``.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias, TypeVar

from vitbench.utils.errors import ConfigError, choices, unknown

Fits: TypeAlias = Callable[[object], bool]


@functools.cache
def _knobs(cls: type) -> dict[str, tuple[Any, Fits]]:
    """Field → its annotation, and the function that says whether a value fits it."""
    return {name: (annotation, _fits(annotation)) for name, annotation in typing.get_type_hints(cls).items()}


def _fits(annotation: Any) -> Fits:
    """Whether a value is of the annotated type, as a function; an int fits a float, a bool fits neither.

    Made once for each field, because a grid makes a hundred thousand configs.
    """
    origin, arms = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return lambda value: any(value == word and type(value) is type(word) for word in arms)
    if origin in {types.UnionType, typing.Union}:
        either = [_fits(arm) for arm in arms]
        return lambda value: any(fits(value) for fits in either)
    if origin is tuple and Ellipsis in arms:
        each = _fits(arms[0])
        return lambda value: isinstance(value, tuple) and all(map(each, value))
    if origin is tuple:
        items = [_fits(arm) for arm in arms]
        return lambda value: (
            isinstance(value, tuple)
            and len(value) == len(items)
            and all(fits(item) for fits, item in zip(items, value, strict=True))
        )
    if annotation in {int, float}:
        numbers = (int, annotation)
        return lambda value: isinstance(value, numbers) and not isinstance(value, bool)
    expected = origin or annotation
    return lambda value: isinstance(value, expected)


def _describe(annotation: Any) -> str:
    """The values that a field takes, in words."""
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return choices(typing.get_args(annotation))
    if origin in {types.UnionType, typing.Union}:
        return " or ".join(_describe(arm) for arm in typing.get_args(annotation))
    if origin is tuple:
        arms = typing.get_args(annotation)
        return "a tuple of " + _describe(arms[0]) if Ellipsis in arms else f"({', '.join(map(_describe, arms))})"
    names = {int: "a whole number", float: "a number", bool: "True or False", str: "text", type(None): "None"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


@dataclass(frozen=True)
class Checked:
    """Checks every field against its annotation on construction."""

    def __post_init__(self) -> None:
        self._check_values(_knobs(type(self)))  # type: ignore[arg-type]  # python/mypy#11469
        self._check()

    def replaced(self, values: Mapping[str, Any]) -> Self:
        """``dataclasses.replace`` in a third of the time: it checks the new values, and the relations between all."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__, **values)
        made._check_values(values)
        made._check()
        return made

    def _check_values(self, names: Iterable[str]) -> None:
        knobs = _knobs(type(self))  # type: ignore[arg-type]  # python/mypy#11469
        for name in names:
            annotation, fits = knobs[name]
            value = getattr(self, name)
            if fits(value):
                continue
            if typing.get_origin(annotation) is Literal and isinstance(value, str):
                raise ConfigError(unknown(name, value, typing.get_args(annotation)))
            raise ConfigError(f"{name}={value!r} is not possible: it takes {_describe(annotation)}")

    def _check(self) -> None:
        """Checks the relations between fields; each class has its own."""

    def _at_least(self, low: float, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if min(value) < low if isinstance(value, tuple) else value < low:
                raise ConfigError(f"{name}={value!r} is too small: it takes {low} or more")

    def _above(self, low: float, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if not value > low:
                raise ConfigError(f"{name}={value!r} is not possible: it takes more than {low}")

    def _rate(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise ConfigError(f"{name}={value!r} is not a rate: it takes 0 up to, not including, 1")


C = TypeVar("C", bound="Checked")


def with_values(config: C, values: Mapping[str, Any]) -> C:
    """The config with fields replaced, all at once; the error for an unknown name suggests the nearest.

    Raises:
        ConfigError: no such field, or no such value.
        ImpossibleConfigError: the values exist, but not together.
    """
    known = _knobs(type(config))  # type: ignore[arg-type]  # python/mypy#11469
    for name in values:
        if name not in known:
            raise ConfigError(unknown(f"{type(config).__name__} field", name, known))
    return config.replaced(values) if values else config
