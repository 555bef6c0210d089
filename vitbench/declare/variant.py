"""A variant: one row of an ablation's table, which is a model with its settings; and how rows are named. No torch."""

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
"""The prefix of a model's name that refers to another row of the same ablation."""

ROLES = {"teacher": "its teacher", "init_from": "what it starts from,"}
"""Settings of a recipe that name a trained model, and the words for that model."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One row of the table: a model with its training, measuring and data settings, or why it cannot exist."""

    name: str
    axes: Mapping[str, Any]  # the value on every axis; for a reference, on the axes along which it varies too
    model: ModelConfig | None  # None: impossible, see `reason`
    train: TrainConfig
    measure: MeasureConfig
    data: DataConfig = field(default_factory=DataConfig)
    curve: str = ""  # the same for rows that differ only in how much data they see
    is_baseline: bool = False
    reference: str | None = None  # its name, if it is a reference
    reason: str | None = None

    @property
    def is_reference(self) -> bool:
        return self.reference is not None

    @property
    def borrows(self) -> bool:
        """Whether its training starts from, or learns from, a trained model of another row or of a file."""
        return bool(self.train.teacher or self.train.init_from)

    @property
    def needs(self) -> dict[str, str]:
        """Role (``teacher``, ``init_from``) → the row whose trained model this row needs."""
        return {role: name.removeprefix(OTHER_ROW) for role, name in self._named.items() if name.startswith(OTHER_ROW)}

    @property
    def files(self) -> tuple[str, ...]:
        """The checkpoint files that its training starts from or learns from."""
        return tuple(name for name in self._named.values() if not name.startswith(OTHER_ROW))

    @property
    def _named(self) -> dict[str, str]:
        return {role: name for role in ROLES if (name := getattr(self.train, role))} if self.borrows else {}

    def images(self, whole: int, num_classes: int) -> int:
        """How many of ``whole`` training images it sees; an estimate where classes differ in size."""
        if self.data.per_class is not None:
            return min(whole, self.data.per_class * num_classes)
        return max(1, round(whole * self.data.fraction))


def format_value(value: object) -> str:
    """An axis value as a variant's name shows it: ``8``, ``4x8``, ``0.1``, ``learned``."""
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    if isinstance(value, float) and not math.isinf(value):
        return f"{value:g}"
    return str(value)


def format_axes(axes: Mapping[str, Any]) -> str:
    """Axes and values as a variant's name shows them: ``depth=6,pos_embed=none``."""
    return ",".join(f"{axis}={format_value(value)}" for axis, value in axes.items())


def model_name(model: ModelConfig) -> str:
    """A short name for a model that was given none."""
    return family_of(model).label(model)


def family(model: ModelConfig) -> str:
    """The name of the model's family, which figures show by its marker: ``ViT``, or an external model's source."""
    return family_of(model).name or model_name(model)
