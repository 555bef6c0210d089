"""An ablation: one question, a baseline, its axes, its claims. Declared, checked and expanded here. No torch."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from vitbench.config import (
    ExternalConfig,
    MeasureConfig,
    ModelConfig,
    ResNetConfig,
    Size,
    TrainConfig,
    ViTConfig,
    as_pair,
    fit,
    with_values,
)
from vitbench.errors import ConfigError, ImpossibleConfigError, UserError, choices, unknown

Design: TypeAlias = Literal["one_at_a_time", "grid"]

METRICS = (
    "accuracy",
    "latency_ms",
    "train_step_ms",
    "throughput_img_s",
    "peak_memory_inference_mib",
    "peak_memory_training_mib",
    "params",
    "macs",
    "flops",
    "activations",
)
"""What a claim can be about: columns of ``table.csv``."""

DATA_FIELDS = ("img_size", "in_chans", "num_classes")
SESSION_FIELDS = ("threads", "blocks", "cycles", "warmup_s")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A statement to put to the test, in one of three forms.

    *Better than*: ``better="learned", than="none"``. *Equal within a margin*: ``equal=("learned", "rope")``, with
    ``margin`` in the metric's own measure (0.01 is a point of accuracy, or one per cent of a cost). *Grows as*:
    ``along="depth", exponent=(0.9, 1.1)``, the slope of log metric on log axis value. Variants are named by their axis
    value, or by their whole name where two axes share a value. Better means higher accuracy, lower cost.
    """

    text: str = field(kw_only=False)
    metric: str
    source: str
    better: Any = None
    than: Any = None
    equal: tuple[Any, Any] | None = None
    margin: float | None = None
    along: str | None = None
    exponent: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        """Raises ConfigError where the claim is not exactly one of the three forms."""
        if self.metric not in METRICS:
            raise ConfigError(unknown("metric", self.metric, METRICS))
        forms = [self.better is not None, self.equal is not None, self.along is not None]
        if sum(forms) != 1:
            raise ConfigError(
                f"claim {self.text!r} takes one form: better=… than=…, or equal=(…, …), or along=… exponent=(…, …)"
            )
        if (self.better is None) != (self.than is None):
            raise ConfigError(f"claim {self.text!r}: better= and than= go together")
        if (self.along is None) != (self.exponent is None):
            raise ConfigError(f"claim {self.text!r}: along= and exponent= go together")
        if self.margin is not None and (self.equal is None or not self.margin > 0):
            raise ConfigError(f"claim {self.text!r}: margin={self.margin} takes a number above 0, beside equal=")
        if self.exponent is not None and not self.exponent[0] <= self.exponent[1]:
            raise ConfigError(f"claim {self.text!r}: exponent={self.exponent} takes (low, high)")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One row of the table: a model under its training and measuring settings, or the reason why it cannot be."""

    name: str
    axes: Mapping[str, Any]  # the value on every axis; none for a reference
    model: ModelConfig | None  # None: impossible, see `reason`
    train: TrainConfig
    measure: MeasureConfig
    is_baseline: bool = False
    is_reference: bool = False
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """A question about a design choice, as a declaration; a file in ``ablations/`` holds one as ``ABLATION``.

    Several axes give one-at-a-time variants around the baseline, or with ``design="grid"`` every combination. An axis
    is a field of the baseline's config, or ``train.FIELD`` or ``measure.FIELD``. ``references`` add rows of other
    models, fitted to the data.

    Raises:
        ConfigError: an axis, a value, a metric or a claimed variant that does not exist.
    """

    question: str
    baseline: ModelConfig
    axes: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    data: str = "digits"
    design: Design = "one_at_a_time"
    claims: tuple[Claim, ...] = ()
    references: tuple[ModelConfig, ...] | Mapping[str, ModelConfig] = ()
    train: TrainConfig = field(default_factory=TrainConfig)
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
        names = [variant.name for variant in self.variants()]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f"two variants are called {name!r}: give references=… names of their own")
        for claim in self.claims:
            self._check_claim(claim)

    def _check_axis(self, axis: str, values: object) -> None:
        if not isinstance(values, tuple) or not values:
            raise ConfigError(f"axis {axis!r} has the values {values!r}: it takes a tuple of one or more")
        if len(set(map(repr, values))) < len(values):
            raise ConfigError(f"axis {axis!r} names a value twice: {choices(values)}")
        if axis in DATA_FIELDS:
            raise ConfigError(f"axis {axis!r} is the data set's: choose another data set with data=… or --data NAME")
        if axis.removeprefix("measure.") in SESSION_FIELDS and axis.startswith("measure."):
            raise ConfigError(f"axis {axis!r} cannot vary: all variants are timed in one session and share it")
        for value in values:
            try:
                self._with({axis: value})
            except ImpossibleConfigError:
                continue  # a cell that cannot be is skipped with its reason, see `variants`

    def _check_claim(self, claim: Claim) -> None:
        if claim.along is not None:
            if claim.along not in self.axes:
                raise ConfigError(f"claim {claim.text!r}: {unknown('axis', claim.along, self.axes)}")
            return
        for wanted in claim.equal or (claim.better, claim.than):
            self.variant(wanted)

    def _with(self, settings: Mapping[str, Any]) -> Ablation:
        """The ablation with settings changed at the baseline, all at once; unchecked as a whole."""
        rooms: dict[str, dict[str, Any]] = {"": {}, "train": {}, "measure": {}}
        for name, value in settings.items():
            room, dot, rest = name.rpartition(".")
            if (dot and not room) or room not in rooms:
                raise ConfigError(unknown("group of settings", room, ("train", "measure")))
            rooms[room][rest] = value
        cell = object.__new__(Ablation)  # without __post_init__: a cell need not satisfy the claims
        for f in dataclasses.fields(Ablation):
            object.__setattr__(cell, f.name, getattr(self, f.name))
        object.__setattr__(cell, "baseline", with_values(self.baseline, rooms[""]))
        object.__setattr__(cell, "train", with_values(self.train, rooms["train"]))
        object.__setattr__(cell, "measure", with_values(self.measure, rooms["measure"]))
        return cell

    def _value(self, axis: str) -> Any:
        """The baseline's value on an axis."""
        room, dot, rest = axis.partition(".")
        return (
            getattr({"train": self.train, "measure": self.measure}[room], rest) if dot else getattr(self.baseline, axis)
        )

    def with_settings(self, settings: Mapping[str, Any]) -> Ablation:
        """The ablation with settings of its baseline changed: ``depth``, ``train.lr``, ``measure.dtype``.

        Raises:
            ConfigError: no such setting or value, or one that cannot be beside the others.
        """
        for name in settings:
            if name in DATA_FIELDS:
                raise ConfigError(f"{name} is the data set's: choose another data set with --data NAME")
        return dataclasses.replace(self._with(settings))

    def on_data(
        self, data: str, *, img_size: Size, in_chans: int, num_classes: int, settings: Mapping[str, Any] | None = None
    ) -> Ablation:
        """The ablation on another data set, its models fitted to it, together with ``with_settings``.

        At once, because a patch size that is asked for must divide the new image, not the old one.

        Raises:
            ConfigError: as ``with_settings``; the baseline's patches do not divide the new image.
        """
        shape = {"img_size": img_size, "in_chans": in_chans, "num_classes": num_classes}
        cell = self._with({**shape, **(settings or {})})
        own = {name: value for name, value in (settings or {}).items() if "." not in name}
        baseline = with_values(fit(cell.baseline, img_size=img_size, in_chans=in_chans, num_classes=num_classes), own)
        return dataclasses.replace(cell, data=data, baseline=baseline).with_settings(settings or {})

    @property
    def external_sources(self) -> tuple[str, ...]:
        """Where the models that somebody else wrote come from."""
        models = (variant.model for variant in self.variants())
        return tuple(dict.fromkeys(model.source for model in models if isinstance(model, ExternalConfig)))

    def _cells(self) -> Iterator[dict[str, Any]]:
        """The value on every axis, for the baseline and then for each variant in the order declared."""
        base = {axis: self._value(axis) for axis in self.axes}
        if self.design == "grid":
            cells: Iterator[dict[str, Any]] = (
                dict(zip(self.axes, values, strict=True)) for values in itertools.product(*self.axes.values())
            )
        else:
            cells = ({**base, axis: value} for axis, values in self.axes.items() for value in values)
        yield base
        yield from (cell for cell in cells if cell != base)

    def variants(self) -> list[Variant]:
        """Every row of the table, the baseline first; an impossible cell has no model but a reason."""
        rows = []
        for number, axes in enumerate(self._cells()):
            name = self._name(axes, is_baseline=number == 0)
            try:
                cell = self._with(axes)
            except ImpossibleConfigError as impossible:
                rows.append(
                    Variant(
                        name=name, axes=axes, model=None, train=self.train, measure=self.measure, reason=str(impossible)
                    )
                )
                continue
            rows.append(
                Variant(
                    name=name,
                    axes=axes,
                    model=cell.baseline,
                    train=cell.train,
                    measure=cell.measure,
                    is_baseline=number == 0,
                )
            )
        return rows + self._reference_variants()

    def _reference_variants(self) -> list[Variant]:
        named = self.references if isinstance(self.references, Mapping) else {model_name(m): m for m in self.references}
        if len(named) < len(self.references):
            raise ConfigError("two references have the same name: write references={'name': config, …}")
        size, chans, classes = (getattr(self.baseline, name) for name in DATA_FIELDS)
        rows = []
        for name, model in named.items():
            fitted, reason = None, None
            try:
                fitted = fit(model, img_size=size, in_chans=chans, num_classes=classes)
            except ImpossibleConfigError as impossible:
                reason = str(impossible)
            rows.append(
                Variant(
                    name=name,
                    axes={},
                    model=fitted,
                    train=self.train,
                    measure=self.measure,
                    is_reference=True,
                    reason=reason,
                )
            )
        return rows

    def _name(self, axes: Mapping[str, Any], *, is_baseline: bool) -> str:
        if self.design == "grid" or len(self.axes) == 1:
            named = axes
        else:
            named = {axis: value for axis, value in axes.items() if value != self._value(axis)}
        if not self.axes:
            return model_name(self.baseline)
        if is_baseline and len(self.axes) > 1:
            return "baseline"
        return ",".join(f"{axis}={format_value(value)}" for axis, value in named.items())

    def variant(self, wanted: Any) -> Variant:
        """The variant of that name; or the only one that changes an axis to that value; or the baseline that has it.

        Raises:
            ConfigError: there is none, or more than one.
        """
        rows = self.variants()
        changed = [v for v in rows if any(value == wanted != self._value(axis) for axis, value in v.axes.items())]
        found = [v for v in rows if v.name == wanted] or changed or [v for v in rows[:1] if wanted in v.axes.values()]
        if len(found) != 1:
            names = [v.name for v in rows]
            raise ConfigError(
                unknown("variant", wanted, names)
                if not found
                else f"variant {wanted!r} could be {choices(v.name for v in found)}: write the whole name"
            )
        return found[0]


def format_value(value: object) -> str:
    """An axis value as it stands in a variant's name: ``8``, ``4x8``, ``0.1``, ``learned``."""
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    if isinstance(value, float) and not math.isinf(value):
        return f"{value:g}"
    return str(value)


def model_name(model: ModelConfig) -> str:
    """A short name for a reference that was given none."""
    if isinstance(model, ResNetConfig):
        size = f"{model.depth}" if model.depth else "_" + "-".join(map(str, model.stages[1]))
        return f"resnet{size}" + ("" if model.width == 64 else f"_w{model.width}")
    if isinstance(model, ViTConfig):
        return f"vit_p{'x'.join(map(str, dict.fromkeys(as_pair(model.patch_size))))}_d{model.embed_dim}_l{model.depth}"
    return model.source


def family(model: ModelConfig) -> str:
    """The family that a figure shows by its marker: ``ViT``, ``ResNet``, or an external model's source."""
    names: dict[type, str] = {ViTConfig: "ViT", ResNetConfig: "ResNet"}
    return model.source if isinstance(model, ExternalConfig) else names[type(model)]


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
