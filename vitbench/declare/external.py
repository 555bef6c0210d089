"""``ExternalConfig``: a model of timm, torchvision or the user."""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vitbench.declare.model import Family, ModelConfig
from vitbench.utils.errors import ConfigError

LIBRARIES: Mapping[str, str] = types.MappingProxyType(
    {"timm": "such as timm:convnext_tiny", "torchvision": "such as torchvision:convnext_tiny"}
)
"""Packages whose models are known by name, with an example; each is also the name of the extra that installs it."""


@dataclass(frozen=True, kw_only=True)
class ExternalConfig(ModelConfig):
    """A model from outside vitbench: ``timm:NAME``, ``torchvision:NAME``, or ``package.module:function``.

    A module may lie beside the ablation file. Its function is called with ``kwargs``, and with those of ``img_size``,
    ``in_chans`` and ``num_classes`` that its signature names; a library's model with those that it accepts. It returns
    a module that maps (batch, in_chans, height, width) to (batch, num_classes).
    """

    source: str = field(kw_only=False)
    kwargs: Mapping[str, Any] = field(default_factory=dict, kw_only=False, hash=False)

    def _check(self) -> None:
        super()._check()
        self._at_least(1, "num_classes")
        module, colon, function = self.source.partition(":")
        if colon and module in LIBRARIES:
            if not re.fullmatch(r"\w[\w.-]*", function):
                raise ConfigError(f"source={self.source!r} names no model: write {module}:NAME, {LIBRARIES[module]}")
            return
        if not colon or not function.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
            raise ConfigError(
                f"source={self.source!r} names no model: write timm:NAME, torchvision:NAME or package.module:function"
            )


def _source(config: ExternalConfig) -> str:
    return config.source


FAMILY = Family(
    name=None,
    config=ExternalConfig,
    label=_source,
    build="vitbench.models.external:build_external",
    source=_source,
    compare_as_json=True,
)
