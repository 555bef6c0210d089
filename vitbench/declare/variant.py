"""A variant: one row of an ablation's table, a model under its settings; and the names that rows have. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vitbench.declare.data import DataConfig
from vitbench.declare.families import family_of
from vitbench.declare.measure import MeasureConfig
from vitbench.declare.model import ModelConfig
from vitbench.declare.train import TrainConfig

OTHER_ROW = "variant:"
"""What the name of a model begins with that is another row of the same ablation."""

ROLES = {"teacher": "its teacher", "init_from": "what it starts from,"}
"""Settings of a recipe that name a trained model, and what that is called."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One row of the table: a model under its training, measuring and data settings, or why it cannot be."""

    name: str
    axes: Mapping[str, Any]  # the value on every axis; for a reference on those that it crosses
    model: ModelConfig | None  # None: impossible, see `reason`
    train: TrainConfig
    measure: MeasureConfig
    data: DataConfig = field(default_factory=DataConfig)
    curve: str = ""  # the same for rows that differ only in how much data they see
    is_baseline: bool = False
    reference: str | None = None  # the name of the reference that it is
    reason: str | None = None

    @property
    def is_reference(self) -> bool:
        return self.reference is not None

    @property
    def borrows(self) -> bool:
        """Whether its training starts from a trained model, or learns from one: another row's, or a file's."""
        return bool(self.train.teacher or self.train.init_from)

    @property
    def needs(self) -> dict[str, str]:
        """The rows whose trained models this one needs, each behind its role: ``teacher``, ``init_from``."""
        return {role: name.removeprefix(OTHER_ROW) for role, name in self._named.items() if name.startswith(OTHER_ROW)}

    @property
    def files(self) -> tuple[str, ...]:
        """Checkpoints that its training starts from or learns from."""
        return tuple(name for name in self._named.values() if not name.startswith(OTHER_ROW))

    @property
    def _named(self) -> dict[str, str]:
        return {role: name for role in ROLES if (name := getattr(self.train, role))} if self.borrows else {}

    def images(self, whole: int, num_classes: int) -> int:
        """Training images that it sees, of so many; of classes of unequal size an estimate."""
        if self.data.per_class is not None:
            return min(whole, self.data.per_class * num_classes)
        return max(1, round(whole * self.data.fraction))


def format_value(value: object) -> str:
    """An axis value as it stands in a variant's name: ``8``, ``4x8``, ``0.1``, ``learned``."""
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    if isinstance(value, float) and not math.isinf(value):
        return f"{value:g}"
    return str(value)


def format_axes(axes: Mapping[str, Any]) -> str:
    """``depth=6,pos_embed=none``."""
    return ",".join(f"{axis}={format_value(value)}" for axis, value in axes.items())


def model_name(model: ModelConfig) -> str:
    """A short name for a model that was given none."""
    return family_of(model).label(model)


def family(model: ModelConfig) -> str:
    """The name of the model's family, which figures show by its marker: ``ViT``, or an external model's source."""
    return family_of(model).name or model_name(model)
