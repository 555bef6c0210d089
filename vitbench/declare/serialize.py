"""Configs to plain JSON values and back."""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Mapping
from typing import Any, TypeAlias

from vitbench.declare.data import DataConfig
from vitbench.declare.external import ExternalConfig
from vitbench.declare.measure import MeasureConfig
from vitbench.declare.model import ModelConfig
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.train import TrainConfig
from vitbench.declare.tuning import Tuning
from vitbench.declare.vit import ViTConfig
from vitbench.utils.errors import ConfigError, unknown

Config: TypeAlias = ModelConfig | TrainConfig | MeasureConfig | DataConfig | Tuning

_CLASSES: Mapping[str, type[Config]] = types.MappingProxyType(
    {
        cls.__name__: cls
        for cls in (ViTConfig, ResNetConfig, ExternalConfig, TrainConfig, MeasureConfig, DataConfig, Tuning)
    }
)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else value


def as_dict(config: Config) -> dict[str, Any]:
    """A config as plain JSON values, its class under ``type``; ``from_dict`` takes it back."""
    values = {f.name: _plain(getattr(config, f.name)) for f in dataclasses.fields(config)}
    return {"type": type(config).__name__, **values}


def defaults(cls: type[Config]) -> dict[str, Any]:
    """The fields of a config class that have a default, as ``as_dict`` would write it."""
    found = {}
    for f in dataclasses.fields(cls):
        if f.default is not dataclasses.MISSING:
            found[f.name] = _plain(f.default)
        elif f.default_factory is not dataclasses.MISSING:
            found[f.name] = _plain(f.default_factory())
    return found


def essence(values: Mapping[str, Any]) -> dict[str, Any]:
    """What ``as_dict`` wrote, by this version or an earlier one, without the fields that have their class's default.

    Two configs are the same exactly if their essences are, however many knobs have been added in between.
    """
    known = _known_defaults(values)
    return {k: v for k, v in values.items() if k == "type" or k not in known or _plain(v) != known[k]}


def completed(values: Mapping[str, Any]) -> dict[str, Any]:
    """What ``as_dict`` wrote, with the fields that an earlier version did not have yet at their default.

    Takes a mapping that holds such configs, too.
    """
    known = _known_defaults(values)
    if known:
        return {**known, **values}
    return {k: completed(v) if isinstance(v, Mapping) else v for k, v in values.items()}


def _known_defaults(values: Mapping[str, Any]) -> Mapping[str, Any]:
    return _defaults(str(values.get("type")))


@functools.lru_cache(maxsize=64)
def _defaults(name: str) -> Mapping[str, Any]:
    """Of a config class by its name, to be read only: ``essence`` and ``completed`` see every record."""
    cls = _CLASSES.get(name)
    return types.MappingProxyType({} if cls is None else defaults(cls))


def from_dict(values: Mapping[str, Any]) -> Config:
    """The config that ``as_dict`` wrote.

    Raises:
        ConfigError: the type or a field is unknown, or a value is not possible.
    """
    rest = dict(values)
    name = rest.pop("type", None)
    if name not in _CLASSES:
        raise ConfigError(unknown("config type", name, _CLASSES))
    cls: type[Any] = _CLASSES[name]
    known = [f.name for f in dataclasses.fields(cls)]
    for key in rest:
        if key not in known:
            raise ConfigError(unknown(f"{name} field", key, known))
    config: Config = cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in rest.items()})
    return config
