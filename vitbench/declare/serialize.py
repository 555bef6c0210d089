"""Configs as plain JSON values, and back."""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Mapping
from typing import Any, TypeAlias

from vitbench.declare.data import DataConfig
from vitbench.declare.families import config_class, config_names
from vitbench.declare.measure import MeasureConfig
from vitbench.declare.model import ModelConfig
from vitbench.declare.train import TrainConfig
from vitbench.declare.tuning import Tuning
from vitbench.utils.errors import ConfigError, unknown

Config: TypeAlias = ModelConfig | TrainConfig | MeasureConfig | DataConfig | Tuning

_SETTINGS: Mapping[str, type[Config]] = types.MappingProxyType(
    {cls.__name__: cls for cls in (TrainConfig, MeasureConfig, DataConfig, Tuning)}
)
"""Configs of everything but models; those of models are in the registry of families."""


def _class(name: str) -> type[Config] | None:
    return _SETTINGS.get(name) or config_class(name)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else value


def as_dict(config: Config) -> dict[str, Any]:
    """The config as plain JSON values, with the name of its class under ``type``; ``from_dict`` is the inverse."""
    values = {f.name: _plain(getattr(config, f.name)) for f in dataclasses.fields(config)}
    return {"type": type(config).__name__, **values}


def defaults(cls: type[Config]) -> dict[str, Any]:
    """Field → default of a config class, as ``as_dict`` writes it, for the fields that have one."""
    found = {}
    for f in dataclasses.fields(cls):
        if f.default is not dataclasses.MISSING:
            found[f.name] = _plain(f.default)
        elif f.default_factory is not dataclasses.MISSING:
            found[f.name] = _plain(f.default_factory())
    return found


def non_default_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a config, as ``as_dict`` wrote it, that differ from the default of their class.

    Two configs are the same exactly if these fields are, however many fields were added to the class in between. Of a
    class that is not registered here, all fields are kept: records can be read where their model cannot be built.
    """
    known = _known_defaults(values)
    return {k: v for k, v in values.items() if k == "type" or k not in known or _plain(v) != known[k]}


def with_defaults(values: Mapping[str, Any]) -> dict[str, Any]:
    """A config, as ``as_dict`` wrote it, with every field that it lacks at the default of its class.

    Takes a mapping that holds such configs, too. A class that is not registered here adds nothing.
    """
    known = _known_defaults(values)
    if known:
        return {**known, **values}
    return {k: with_defaults(v) if isinstance(v, Mapping) else v for k, v in values.items()}


def _known_defaults(values: Mapping[str, Any]) -> Mapping[str, Any]:
    cls = _class(str(values.get("type")))
    return {} if cls is None else _defaults(cls)  # type: ignore[arg-type]  # python/mypy#11469


@functools.lru_cache(maxsize=64)
def _defaults(cls: type[Any]) -> Mapping[str, Any]:
    """``defaults``, cached and read-only, because it is needed for every record that is read."""
    return types.MappingProxyType(defaults(cls))


def from_dict(values: Mapping[str, Any]) -> Config:
    """The config that ``as_dict`` wrote.

    Raises:
        ConfigError: the type or a field is unknown, or a value is not possible.
    """
    rest = dict(values)
    name = rest.pop("type", None)
    cls: type[Any] | None = _class(str(name))
    if cls is None:
        raise ConfigError(unknown("config type", name, [*config_names(), *_SETTINGS]))
    known = [f.name for f in dataclasses.fields(cls)]
    for key in rest:
        if key not in known:
            raise ConfigError(unknown(f"{name} field", key, known))
    config: Config = cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in rest.items()})
    return config
