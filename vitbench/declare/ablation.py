"""``Ablation``: one question, a baseline, its axes and its claims, checked on construction."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from vitbench.declare.checked import with_values
from vitbench.declare.claim import Claim
from vitbench.declare.declaration import Declaration
from vitbench.declare.designs import Design
from vitbench.declare.expand import expanded
from vitbench.declare.families import adapt_to_data, source_of
from vitbench.declare.find_variant import find
from vitbench.declare.settings import DATA_FIELDS
from vitbench.declare.sizes import Size
from vitbench.declare.variant import Variant
from vitbench.utils.errors import ConfigError, ImpossibleConfigError, choices, unknown
from vitbench.utils.garbage_collection import without_collector

SESSION_FIELDS = ("threads", "blocks", "cycles", "warmup_s")

TUNED = ("train.lr", "train.weight_decay")


@dataclass(frozen=True, kw_only=True)
class Ablation(Declaration):
    """A question about a design choice; a file in ``ablations/`` declares one as ``ABLATION``.

    An axis is a field of the baseline's config, or ``train.FIELD``, ``measure.FIELD`` or ``data.FIELD``. ``design``
    combines several axes into variants, after the baseline, which is always the first:

    - ``one_at_a_time``: each value alone, everything else as in the baseline.
    - ``grid``: every combination.
    - ``leave_one_out``: the baseline is the full recipe, and each axis has one other value, "without". Each variant
      leaves one component out, and the last leaves out all of them. A component that the recipe lacks has no variant.
    - ``add_one_in``: the baseline is the bare recipe, and each axis has one other value, "with". Each variant adds one
      component, and the last adds all of them.
    - ``random``: ``sample`` cells of the grid, the baseline included, drawn uniformly without replacement from
      ``sample_seed``. A larger sample contains the smaller one; the grid may have any size.

    ``combined`` adds variants that change several settings at once: name → setting → value. ``references`` add other
    models, adapted to the data; they also vary along the axes of training and data. ``tuning`` gives every family the
    same number of tries.

    ``teacher="variant:NAME"`` or ``init_from="variant:NAME"`` in a recipe names another variant, which is trained first
    with the same seed. A reference that teaches is not taught itself.

    Raises:
        ConfigError: an axis, a value, a metric, a teacher or a variant in a claim does not exist.
    """

    def __post_init__(self) -> None:
        """Checks everything that needs neither data nor torch."""
        if not self.question.strip():
            raise ConfigError("question='' is empty: write the question that the ablation answers")
        if self.design not in get_args(Design):
            raise ConfigError(unknown("design", self.design, get_args(Design)))
        self._check_sample()
        if self.seeds < 1:
            raise ConfigError(f"seeds={self.seeds} is too few: it takes 1 or more, and 6 or more for a verdict")
        for axis, values in self.axes.items():
            self._check_axis(axis, values)
        for settings in self.combined.values():
            self._check_settings(settings)
        _ = self._rows  # expanding checks every variant
        for claim in self.claims:
            self._check_claim(claim)

    def _check_sample(self) -> None:
        if self.design == "random" and self.sample is None:
            raise ConfigError(
                "design='random' needs the number of rows to draw: write sample=100, or type --sample 100"
            )
        if self.design != "random" and self.sample is not None:
            raise ConfigError(f"sample={self.sample} belongs to design='random', not to design={self.design!r}")
        if self.sample is not None and self.sample < 2:
            raise ConfigError(f"sample={self.sample} is too few: it takes 2 or more, the baseline included")

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
                    f"axis {name!r} belongs to the data set: choose another data set with data=… or --data NAME"
                )
            if name.startswith("measure.") and name.removeprefix("measure.") in SESSION_FIELDS:
                raise ConfigError(f"axis {name!r} cannot vary: all variants share one timing session")
            if name in TUNED and self.tuning is not None:
                raise ConfigError(f"axis {name!r} is tuned for every variant by tuning=…: leave out one of the two")
        try:
            self.cell(settings)
        except ImpossibleConfigError:
            return  # an impossible cell is skipped with its reason, see `variants`

    def _check_claim(self, claim: Claim) -> None:
        if claim.along is not None:
            if claim.along not in self.axes:
                raise ConfigError(f"claim {claim.text!r}: {unknown('axis', claim.along, self.axes)}")
            return
        one, other = (self.variant(side).name for side in claim.equal or (claim.better, claim.than))
        if one == other:
            raise ConfigError(f"claim {claim.text!r} compares {one} with itself: name both sides by value, as depth=4")

    def with_settings(self, settings: Mapping[str, Any]) -> Ablation:
        """The ablation with settings of its baseline changed: ``depth``, ``train.lr``, ``data.fraction``.

        Raises:
            ConfigError: a setting or value does not exist, or does not go with the others.
        """
        for name in settings:
            if name in DATA_FIELDS:
                raise ConfigError(f"{name} belongs to the data set: choose another data set with --data NAME")
        return dataclasses.replace(self.cell(settings)) if settings else self

    def with_design(self, design: Design, sample: int | None = None) -> Ablation:
        """The ablation under another design, without the claims about variants that the design lacks.

        Raises:
            ConfigError: the design does not exist, or does not go with these axes or this sample.
        """
        made = dataclasses.replace(self, design=design, sample=sample, claims=())
        claims = made.answerable(self.claims)
        return dataclasses.replace(made, claims=claims) if claims else made

    def answerable(self, claims: Iterable[Claim]) -> tuple[Claim, ...]:
        """The claims whose variants and axes exist."""
        found = []
        for claim in claims:
            with contextlib.suppress(ConfigError):
                self._check_claim(claim)
                found.append(claim)
        return tuple(found)

    def on_data(
        self, data: str, *, img_size: Size, in_chans: int, num_classes: int, settings: Mapping[str, Any] | None = None
    ) -> Ablation:
        """The ablation on another data set, its models adapted to it and ``settings`` changed.

        Both happen at once, because a new patch size must divide the new image, not the old one.

        Raises:
            ConfigError: as ``with_settings``, or the baseline's patches do not divide the new image.
        """
        shape = {"img_size": img_size, "in_chans": in_chans, "num_classes": num_classes}
        cell = self.cell({**shape, **(settings or {})})
        own = {name: value for name, value in (settings or {}).items() if "." not in name}
        baseline = with_values(
            adapt_to_data(cell.baseline, img_size=img_size, in_chans=in_chans, num_classes=num_classes), own
        )
        return dataclasses.replace(cell, data=data, baseline=baseline).with_settings(settings or {})

    @property
    def sources(self) -> tuple[str, ...]:
        """Sources of external models, and checkpoint files: their content is part of an id."""
        rows = self.variants()
        models = [found for row in rows if row.model is not None and (found := source_of(row.model)) is not None]
        return tuple(dict.fromkeys([*models, *(file for row in rows for file in row.files)]))

    def variants(self) -> list[Variant]:
        """Every variant, the baseline first; an impossible one has a reason instead of a model."""
        return list(self._rows.values())

    @functools.cached_property
    def _rows(self) -> dict[str, Variant]:
        with without_collector():
            return expanded(self)  # cached, since a grid may have a hundred thousand cells

    def variant(self, wanted: Any) -> Variant:
        """The variant of that name; or the only one with that value on an axis; or the baseline that has it.

        A name keeps its meaning where --recipe or --set changes the baseline: ``depth=4`` is the variant with four
        blocks, baseline or not, and settings that the name leaves out are the baseline's.

        Raises:
            ConfigError: no variant matches, or several do.
        """
        if isinstance(wanted, str) and wanted in self._rows:
            return self._rows[wanted]
        rows = {name: row for name, row in self._rows.items() if name not in self.combined}
        return find(rows, wanted, self.axes)
