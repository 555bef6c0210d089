"""What an ablation declares, and its value on each setting. The checks are in ``ablation``, the rows in ``expand``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from vitbench.declare.checked import with_values
from vitbench.declare.claim import Claim
from vitbench.declare.data import DataConfig
from vitbench.declare.designs import Design
from vitbench.declare.measure import MeasureConfig
from vitbench.declare.model import ModelConfig
from vitbench.declare.settings import GROUPS
from vitbench.declare.train import TrainConfig
from vitbench.declare.tuning import Tuning
from vitbench.utils.errors import ConfigError, unknown


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """The fields of an ablation."""

    question: str
    baseline: ModelConfig
    axes: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    combined: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    data: str = "digits"
    data_settings: DataConfig = field(default_factory=DataConfig)
    design: Design = "one_at_a_time"
    sample: int | None = None  # of design="random": rows, the baseline among them
    sample_seed: int = 0
    claims: tuple[Claim, ...] = ()
    references: tuple[ModelConfig, ...] | Mapping[str, ModelConfig] = ()
    train: TrainConfig = field(default_factory=TrainConfig)
    tuning: Tuning | None = None
    measure: MeasureConfig = field(default_factory=MeasureConfig)
    seeds: int = 6
    latency_margin: float = 0.01  # a smaller difference in cost is no difference worth having
    accuracy_margin: float = 0.01

    def cell(self, settings: Mapping[str, Any]) -> Self:
        """The declaration with settings of the baseline replaced, all at once; unchecked as a whole."""
        groups: dict[str, dict[str, Any]] = {group: {} for group in GROUPS}
        for name, value in settings.items():
            group, dot, rest = name.rpartition(".")
            if (dot and not group) or group not in GROUPS:
                raise ConfigError(unknown("group of settings", group, [g for g in GROUPS if g]))
            groups[group][rest] = value
        cell = object.__new__(type(self))  # skips __post_init__, since a cell need not satisfy the claims
        for f in dataclasses.fields(self):
            object.__setattr__(cell, f.name, getattr(self, f.name))
        for group, holder in GROUPS.items():
            object.__setattr__(cell, holder, with_values(getattr(self, holder), groups[group]))
        return cell

    def value_of(self, axis: str) -> Any:
        """The baseline's value on an axis."""
        group, _, name = axis.rpartition(".")
        return getattr(getattr(self, GROUPS[group]), name)

    @property
    def columns(self) -> dict[str, tuple[Any, ...]]:
        """Every setting in which rows differ, with its values: the axes, and what combined rows change besides."""
        found = {axis: list(values) for axis, values in self.axes.items()}
        for settings in self.combined.values():
            for name, value in settings.items():
                values = found.setdefault(name, [self.value_of(name)])
                values += [] if value in values else [value]
        return {name: tuple(values) for name, values in found.items()}
