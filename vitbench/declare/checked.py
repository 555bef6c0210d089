"""Frozen dataclasses that check every field against its annotation on construction.

``dataclasses.replace`` makes the variants of a sweep, ``__post_init__`` validates: a config that exists can be built.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeVar

from vitbench.utils.errors import ConfigError, choices, unknown


@functools.cache
def _knobs(cls: type) -> dict[str, tuple[Any, frozenset[type], tuple[object, ...]]]:
    """Field → its annotation, the types all of whose values fit, and the words that it takes.

    The last two spare ``_fits`` its work in all but a few cases: a grid makes a hundred thousand configs.
    """
    return {
        name: (annotation, _plain_types(annotation), _words(annotation))
        for name, annotation in typing.get_type_hints(cls).items()
    }


def _plain_types(annotation: Any) -> frozenset[type]:
    if typing.get_origin(annotation) in {types.UnionType, typing.Union}:
        return frozenset[type]().union(*map(_plain_types, typing.get_args(annotation)))
    plain: dict[Any, set[type]] = {float: {int, float}, **{t: {t} for t in (int, bool, str, types.NoneType)}}
    return frozenset(plain.get(annotation, ()))


def _words(annotation: Any) -> tuple[object, ...]:
    return typing.get_args(annotation) if typing.get_origin(annotation) is Literal else ()


def _fits(value: object, annotation: Any) -> bool:
    """Whether ``value`` is of the annotated type; an int may stand for a float, a bool for neither."""
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return any(value == word and type(value) is type(word) for word in typing.get_args(annotation))
    if origin in {types.UnionType, typing.Union}:
        return any(_fits(value, arm) for arm in typing.get_args(annotation))
    if origin is tuple:
        arms = typing.get_args(annotation)
        if not isinstance(value, tuple):
            return False
        if len(arms) == 2 and arms[1] is Ellipsis:
            return all(_fits(item, arms[0]) for item in value)
        return len(value) == len(arms) and all(_fits(i, a) for i, a in zip(value, arms, strict=True))
    if annotation is type(None):
        return value is None
    if annotation in {int, float}:
        return isinstance(value, (int, annotation)) and not isinstance(value, bool)
    return isinstance(value, origin or annotation)


def _describe(annotation: Any) -> str:
    """What a field takes, in words."""
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
        """As ``dataclasses.replace``, in a third of the time: what stays as it is was checked when this was made."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__, **values)
        made._check_values(values)
        made._check()
        return made

    def _check_values(self, names: Iterable[str]) -> None:
        knobs = _knobs(type(self))  # type: ignore[arg-type]  # python/mypy#11469
        for name in names:
            annotation, plain, words = knobs[name]
            value = getattr(self, name)
            kind = type(value)
            if kind in plain or (kind is str and value in words) or _fits(value, annotation):
                continue
            if words and isinstance(value, str):
                raise ConfigError(unknown(name, value, words))
            raise ConfigError(f"{name}={value!r} is not possible: it takes {_describe(annotation)}")

    def _check(self) -> None:
        """Checks the relations between fields; each class says its own."""

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
    """The config with fields replaced, all at once; an unknown name is answered with the nearest.

    Raises:
        ConfigError: no such field, or not such a value.
        ImpossibleConfigError: the values exist, but not beside the others.
    """
    known = _knobs(type(config))  # type: ignore[arg-type]  # python/mypy#11469
    for name in values:
        if name not in known:
            raise ConfigError(unknown(f"{type(config).__name__} field", name, known))
    return config.replaced(values) if values else config
