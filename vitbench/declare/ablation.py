"""An ablation: one question, a baseline, its axes, its claims. Declared, checked and expanded here. No torch."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from vitbench.declare.checked import with_values
from vitbench.declare.claim import METRICS, Claim
from vitbench.declare.data import DataConfig
from vitbench.declare.designs import Design
from vitbench.declare.expand import DATA_FIELDS, GROUPS, expanded
from vitbench.declare.families import adapt_to_data, source_of
from vitbench.declare.find_variant import find
from vitbench.declare.measure import MeasureConfig
from vitbench.declare.model import ModelConfig
from vitbench.declare.settings import parse_setting
from vitbench.declare.sizes import Size
from vitbench.declare.train import TrainConfig
from vitbench.declare.tuning import Tuning
from vitbench.declare.variant import Variant, family, format_value, model_name
from vitbench.utils.errors import ConfigError, ImpossibleConfigError, choices, unknown
from vitbench.utils.garbage_collection import without_collector

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

SESSION_FIELDS = ("threads", "blocks", "cycles", "warmup_s")

TUNED = ("train.lr", "train.weight_decay")


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """A question about a design choice, as a declaration; a file in ``ablations/`` holds one as ``ABLATION``.

    An axis is a field of the baseline's config, or ``train.FIELD``, ``measure.FIELD`` or ``data.FIELD``. Several of
    them make rows by ``design``, after the baseline, which is always the first:

    - ``one_at_a_time``: each value alone, all else the baseline's.
    - ``grid``: every combination.
    - ``leave_one_out``: the baseline is the full recipe, and an axis has one other value, which stands for "without".
      Each component is left out alone, and in the last row all of them: what the parts lose one by one can be held
      against what they lose together. A component that the recipe does not have has no row.
    - ``add_one_in``: the baseline is the bare recipe, and an axis has one other value, which stands for "with". Each
      component is put in alone, and in the last row all of them.
    - ``random``: ``sample`` cells of the grid, the baseline among them, drawn uniformly without replacement from
      ``sample_seed``. A larger sample begins with the smaller one, and a grid of any size will do.

    ``combined`` adds rows that change several settings at once: name → setting → value. ``references`` add rows of
    other models, fitted to the data; along axes of training and data they vary too, as far as the other rows do.
    ``tuning`` gives every family the same number of tries.

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

    def __post_init__(self) -> None:
        """Checks everything that can be checked without data or torch."""
        if not self.question.strip():
            raise ConfigError("question='' says nothing: write the question that the ablation answers")
        if self.design not in get_args(Design):
            raise ConfigError(unknown("design", self.design, get_args(Design)))
        self._check_sample()
        if self.seeds < 1:
            raise ConfigError(f"seeds={self.seeds} is too few: it takes 1 or more, and 6 for a verdict")
        for axis, values in self.axes.items():
            self._check_axis(axis, values)
        for settings in self.combined.values():
            self._check_settings(settings)
        _ = self._rows  # expands, which checks every row
        for claim in self.claims:
            self._check_claim(claim)

    def _check_sample(self) -> None:
        if self.design == "random" and self.sample is None:
            raise ConfigError(
                "design='random' does not say how many rows to draw: write sample=100, or type --sample 100"
            )
        if self.design != "random" and self.sample is not None:
            raise ConfigError(f"sample={self.sample} belongs to design='random', not to design={self.design!r}")
        if self.sample is not None and self.sample < 2:
            raise ConfigError(f"sample={self.sample} is too few: it takes 2 or more, the baseline among them")

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
        return dataclasses.replace(self.cell(settings)) if settings else self

    def with_design(self, design: Design, sample: int | None = None) -> Ablation:
        """The ablation with other rows; claims about rows that are not among them are left out.

        Raises:
            ConfigError: no such design, or not with these axes or this sample.
        """
        made = dataclasses.replace(self, design=design, sample=sample, claims=())
        claims = made.answerable(self.claims)
        return dataclasses.replace(made, claims=claims) if claims else made

    def answerable(self, claims: Iterable[Claim]) -> tuple[Claim, ...]:
        """Those of the claims that speak of rows and axes which are there."""
        found = []
        for claim in claims:
            with contextlib.suppress(ConfigError):
                self._check_claim(claim)
                found.append(claim)
        return tuple(found)

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
        baseline = with_values(
            adapt_to_data(cell.baseline, img_size=img_size, in_chans=in_chans, num_classes=num_classes), own
        )
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
        models = [found for row in rows if row.model is not None and (found := source_of(row.model)) is not None]
        return tuple(dict.fromkeys([*models, *(file for row in rows for file in row.files)]))

    def variants(self) -> list[Variant]:
        """Every row of the table, the baseline first; an impossible cell has no model but a reason."""
        return list(self._rows.values())

    @functools.cached_property
    def _rows(self) -> dict[str, Variant]:
        with without_collector():
            return expanded(self)  # once, since a grid may have a hundred thousand

    def variant(self, wanted: Any) -> Variant:
        """The variant of that name; or the only one that changes an axis to that value; or the baseline that has it.

        A name keeps its meaning where --recipe or --set moves the baseline: ``depth=4`` is then the row of four blocks,
        the baseline or not, and what a name does not say is the baseline's.

        Raises:
            ConfigError: there is none, or more than one.
        """
        if isinstance(wanted, str) and wanted in self._rows:
            return self._rows[wanted]
        rows = {name: row for name, row in self._rows.items() if name not in self.combined}
        return find(rows, wanted, self.axes)
