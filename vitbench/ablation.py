"""An ablation: one question, a baseline, its axes, its claims. Declared, checked and expanded here. No torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from vitbench.claim import METRICS, Claim
from vitbench.config import (
    DataConfig,
    ExternalConfig,
    MeasureConfig,
    ModelConfig,
    Size,
    TrainConfig,
    Tuning,
    fit,
    with_values,
)
from vitbench.errors import ConfigError, ImpossibleConfigError, UserError, choices, unknown
from vitbench.expansion import DATA_FIELDS, check_needs, expanded, impossible_needs
from vitbench.variant import Variant, family, format_value, model_name

__all__ = [
    "DATA_FIELDS",
    "METRICS",
    "Ablation",
    "Claim",
    "Design",
    "Variant",
    "family",
    "format_value",
    "model_name",
    "parse_setting",
]

Design: TypeAlias = Literal["one_at_a_time", "grid"]

SESSION_FIELDS = ("threads", "blocks", "cycles", "warmup_s")

GROUPS = {"": "baseline", "train": "train", "measure": "measure", "data": "data_settings"}
"""What stands before the dot of a setting → the ablation's field that holds it."""

TUNED = ("train.lr", "train.weight_decay")


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """A question about a design choice, as a declaration; a file in ``ablations/`` holds one as ``ABLATION``.

    Several axes give one-at-a-time variants around the baseline, or with ``design="grid"`` every combination. An axis
    is a field of the baseline's config, or ``train.FIELD``, ``measure.FIELD`` or ``data.FIELD``. ``combined`` adds rows
    that change several settings at once: name → setting → value. ``references`` add rows of other models, fitted to
    the data; along axes of training and data they vary too. ``tuning`` gives every family the same number of tries.

    A recipe's ``teacher="variant:NAME"`` or ``init_from="variant:NAME"`` is another row, trained first with the same
    seed; a reference that teaches is not taught.

    Raises:
        ConfigError: an axis, a value, a metric, a teacher or a claimed variant that does not exist.
    """

    question: str
    baseline: ModelConfig
    axes: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    combined: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    data: str = "digits"
    data_settings: DataConfig = field(default_factory=DataConfig)
    design: Design = "one_at_a_time"
    claims: tuple[Claim, ...] = ()
    references: tuple[ModelConfig, ...] | Mapping[str, ModelConfig] = ()
    train: TrainConfig = field(default_factory=TrainConfig)
    tuning: Tuning | None = None
    measure: MeasureConfig = field(default_factory=MeasureConfig)
    seeds: int = 6
    latency_margin: float = 0.01  # a smaller difference in cost is no difference worth having
    accuracy_margin: float = 0.01

    def __post_init__(self) -> None:
        """Checks everything that can be checked without data or torch."""
        if not self.question.strip():
            raise ConfigError("question='' says nothing: write the question that the ablation answers")
        if self.design not in get_args(Design):
            raise ConfigError(unknown("design", self.design, get_args(Design)))
        if self.seeds < 1:
            raise ConfigError(f"seeds={self.seeds} is too few: it takes 1 or more, and 6 for a verdict")
        for axis, values in self.axes.items():
            self._check_axis(axis, values)
        for settings in self.combined.values():
            self._check_settings(settings)
        rows = expanded(self)
        names = [row.name for row in rows]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f"two variants are called {name!r}: give references=… names of their own")
        check_needs(rows)
        for claim in self.claims:
            self._check_claim(claim)

    def _check_axis(self, axis: str, values: object) -> None:
        if not isinstance(values, tuple) or not values:
            raise ConfigError(f"axis {axis!r} has the values {values!r}: it takes a tuple of one or more")
        if len(set(map(repr, values))) < len(values):
            raise ConfigError(f"axis {axis!r} names a value twice: {choices(values)}")
        for value in values:
            self._check_settings({axis: value})

    def _check_settings(self, settings: Mapping[str, Any]) -> None:
        for name in settings:
            if name in DATA_FIELDS:
                raise ConfigError(
                    f"axis {name!r} is the data set's: choose another data set with data=… or --data NAME"
                )
            if name.startswith("measure.") and name.removeprefix("measure.") in SESSION_FIELDS:
                raise ConfigError(f"axis {name!r} cannot vary: all variants are timed in one session and share it")
            if name in TUNED and self.tuning is not None:
                raise ConfigError(f"axis {name!r} is what tuning=… chooses for every variant: leave one of them out")
        try:
            self.cell(settings)
        except ImpossibleConfigError:
            return  # a cell that cannot be is skipped with its reason, see `variants`

    def _check_claim(self, claim: Claim) -> None:
        if claim.along is not None:
            if claim.along not in self.axes:
                raise ConfigError(f"claim {claim.text!r}: {unknown('axis', claim.along, self.axes)}")
            return
        one, other = (self.variant(side).name for side in claim.equal or (claim.better, claim.than))
        if one == other:
            raise ConfigError(f"claim {claim.text!r} compares {one} with itself: name both sides by value, as depth=4")

    def cell(self, settings: Mapping[str, Any]) -> Ablation:
        """The ablation with settings changed at the baseline, all at once; unchecked as a whole."""
        groups: dict[str, dict[str, Any]] = {group: {} for group in GROUPS}
        for name, value in settings.items():
            group, dot, rest = name.rpartition(".")
            if (dot and not group) or group not in GROUPS:
                raise ConfigError(unknown("group of settings", group, [g for g in GROUPS if g]))
            groups[group][rest] = value
        cell = object.__new__(Ablation)  # without __post_init__: a cell need not satisfy the claims
        for f in dataclasses.fields(Ablation):
            object.__setattr__(cell, f.name, getattr(self, f.name))
        for group, holder in GROUPS.items():
            object.__setattr__(cell, holder, with_values(getattr(self, holder), groups[group]))
        return cell

    def value_of(self, axis: str) -> Any:
        """The baseline's value on an axis."""
        group, _, name = axis.rpartition(".")
        return getattr(getattr(self, GROUPS[group]), name)

    def with_settings(self, settings: Mapping[str, Any]) -> Ablation:
        """The ablation with settings of its baseline changed: ``depth``, ``train.lr``, ``data.fraction``.

        Raises:
            ConfigError: no such setting or value, or one that cannot be beside the others.
        """
        for name in settings:
            if name in DATA_FIELDS:
                raise ConfigError(f"{name} is the data set's: choose another data set with --data NAME")
        return dataclasses.replace(self.cell(settings))

    def on_data(
        self, data: str, *, img_size: Size, in_chans: int, num_classes: int, settings: Mapping[str, Any] | None = None
    ) -> Ablation:
        """The ablation on another data set, its models fitted to it, together with ``with_settings``.

        At once, because a patch size that is asked for must divide the new image, not the old one.

        Raises:
            ConfigError: as ``with_settings``; the baseline's patches do not divide the new image.
        """
        shape = {"img_size": img_size, "in_chans": in_chans, "num_classes": num_classes}
        cell = self.cell({**shape, **(settings or {})})
        own = {name: value for name, value in (settings or {}).items() if "." not in name}
        baseline = with_values(fit(cell.baseline, img_size=img_size, in_chans=in_chans, num_classes=num_classes), own)
        return dataclasses.replace(cell, data=data, baseline=baseline).with_settings(settings or {})

    @property
    def columns(self) -> dict[str, tuple[Any, ...]]:
        """The settings in which rows differ, with their values: the axes, and what combined rows change besides."""
        found = {axis: list(values) for axis, values in self.axes.items()}
        for settings in self.combined.values():
            for name, value in settings.items():
                values = found.setdefault(name, [self.value_of(name)])
                values += [] if value in values else [value]
        return {name: tuple(values) for name, values in found.items()}

    @property
    def sources(self) -> tuple[str, ...]:
        """Where models come from that somebody else wrote, and checkpoints: their content is part of an id."""
        rows = self.variants()
        models = [row.model.source for row in rows if isinstance(row.model, ExternalConfig)]
        return tuple(dict.fromkeys([*models, *(file for row in rows for file in row.files)]))

    def variants(self) -> list[Variant]:
        """Every row of the table, the baseline first; an impossible cell has no model but a reason."""
        rows = expanded(self)
        by_name = {row.name: row for row in rows}
        for row in rows:
            if row.model is not None and (reason := impossible_needs(row, by_name)):
                by_name[row.name] = dataclasses.replace(row, model=None, reason=reason)
        return list(by_name.values())

    def variant(self, wanted: Any) -> Variant:
        """The variant of that name; or the only one that changes an axis to that value; or the baseline that has it.

        A name keeps its meaning where --recipe or --set moves the baseline: ``depth=4`` is then the row of four blocks,
        the baseline or not, and what a name does not say is the baseline's.

        Raises:
            ConfigError: there is none, or more than one.
        """
        rows = self.variants()
        own = [v for v in rows if not v.is_reference and v.name not in self.combined]
        changed = [v for v in own if any(v.axes[axis] == wanted != self.value_of(axis) for axis in self.axes)]
        at_base = [v for v in rows[:1] if wanted in [v.axes[axis] for axis in self.axes]]
        said = [v for v in rows if v.name not in self.combined and self._is_said(v, str(wanted))]
        found = [v for v in rows if v.name == wanted] or said or changed or at_base
        if len(found) != 1:
            names = [v.name for v in rows]
            raise ConfigError(
                unknown("variant", wanted, names)
                if not found
                else f"variant {wanted!r} could be {choices(v.name for v in found)}: write the whole name"
            )
        return found[0]

    def _is_said(self, row: Variant, wanted: str) -> bool:
        """Whether ``wanted`` spells out a row's settings: ``depth=4``, of a reference ``NAME,train.lr=0.001``."""
        parts = wanted.split(",")
        reference = None if "=" in parts[0] else parts.pop(0)
        said = {axis: value for axis, _, value in (part.partition("=") for part in parts)}
        same = all(format_value(v) == said.get(axis, format_value(self.value_of(axis))) for axis, v in row.axes.items())
        return bool(said) and row.reference == reference and said.keys() <= row.axes.keys() and same


def parse_setting(text: str) -> tuple[str, Any]:
    """``"depth=6"`` → ``("depth", 6)``: numbers, True, False, None and (tuples) are read as such, else it is a word.

    Raises:
        UserError: there is no ``=``, or nothing before it.
    """
    import ast

    name, equals, word = text.partition("=")
    if not equals or not name.strip() or not word.strip():
        raise UserError(f"--set {text!r} sets nothing: write --set depth=6, or --set train.lr=0.001")
    try:
        return name.strip(), ast.literal_eval(word.strip())
    except (ValueError, SyntaxError):
        return name.strip(), word.strip()
