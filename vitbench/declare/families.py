"""The registry of model families: one line a family. Everything that differs by family is asked for here. No torch.

A family from outside vitbench registers itself where its config class is defined: ``register(Family(…))``, in a module
beside the ablation file that imports it. Worker processes import that module when they receive one of its configs.
"""

from __future__ import annotations

import sys

from vitbench.declare import external, resnet, vit
from vitbench.declare.model import Family, ModelConfig
from vitbench.declare.sizes import Size
from vitbench.utils.errors import ConfigError, choices

_FAMILIES: dict[type[ModelConfig], Family] = {
    family.config: family
    for family in (
        vit.FAMILY,
        resnet.FAMILY,
        external.FAMILY,
    )
}


def register(family: Family) -> None:
    """Adds a family, or replaces the one that was registered from the same module before.

    Raises:
        ConfigError: another class of configs has the same name, or workers cannot import the class.
    """
    config = family.config
    if config.__module__ not in sys.modules:  # an ablation file is executed, not imported
        raise ConfigError(
            f"{config.__name__} is defined in a file that worker processes cannot import: "
            "move it to a module beside the ablation file, and import it from there"
        )
    same_name = config_class(config.__name__)
    if same_name is not None and same_name.__module__ != config.__module__:
        raise ConfigError(
            f"a family with configs called {config.__name__} exists already, in {same_name.__module__}: "
            "choose another name for the class"
        )
    if same_name is not None:
        del _FAMILIES[same_name]
    _FAMILIES[config] = family


def family_of(config: ModelConfig) -> Family:
    """The family that a config belongs to.

    Raises:
        ConfigError: it belongs to none that is registered here.
    """
    try:
        return _FAMILIES[type(config)]
    except KeyError:
        hint = f", or register a Family for {type(config).__name__}" * isinstance(config, ModelConfig)
        raise ConfigError(
            f"{config!r} is not a model config; expected one of {choices(config_names())}, "
            f"or zoo(name) for a published name{hint}"
        ) from None


def config_names() -> list[str]:
    """The names of all registered classes of configs."""
    return [config.__name__ for config in _FAMILIES]


def config_class(name: str) -> type[ModelConfig] | None:
    """The registered class of configs with this name; None if there is none."""
    return next((config for config in _FAMILIES if config.__name__ == name), None)


def source_of(config: ModelConfig) -> str | None:
    """``module:name`` of the code outside vitbench that makes the model; None for vitbench's own models."""
    family = family_of(config)
    if family.source is not None:
        return family.source(config)
    return None if family.build.startswith("vitbench.") else family.build


def adapt_to_data(config: ModelConfig, *, img_size: Size, in_chans: int, num_classes: int) -> ModelConfig:
    """The config for other data: its image size, channels and classes, and whatever else its family adapts."""
    adapt = family_of(config).adapt
    changed = config.replaced({"img_size": img_size, "in_chans": in_chans, "num_classes": num_classes})
    return changed if adapt is None else adapt(changed)
