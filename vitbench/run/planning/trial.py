"""``Trial``: what one job measures, and the ids of the records that it will write. No torch."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from vitbench.declare.families import source_of
from vitbench.declare.quantities import CONTROL, Quantity, find_quantity
from vitbench.declare.serialize import as_dict
from vitbench.declare.variant import ROLES, Variant
from vitbench.records.identity import digest, identity

Kind: TypeAlias = str
"""The kind of a registered quantity (``vitbench.declare.quantities``)."""

Recipe: TypeAlias = Literal["same", "tuned"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """What one job measures.

    Attributes:
        kind: the kind of the measured quantity.
        variants: the measured variant; in a session, all variants that differ in this quantity, the baseline first.
        also: (name of a measured variant, another variant that has the same measurement).
        device: ``cpu`` or ``cuda``.
        data: name and version of the data set, for trainings.
        images: the number of images in its whole training split.
        seed: of a training.
        recipe: the recipe that all variants share, or the variant's tuned one.
        number: of a tuning try; try 0 has the recipe's own values.
        needs: role (``teacher``, ``init_from``) → the trial whose model this one needs.
        sources: (external model or checkpoint, digest of its file), so that an edited file gets new ids.
        save_to: the file for the trained model; set when the trial is run.
        weights: role → the file of the model that this trial needs; set when the trial is run.
        checkpoint: the file in which a training saves and finds its state; set when the trial is run.
        checkpoint_every_s: seconds between two checkpoints; None for the default of ``train.checkpoint``.
        process: the number of this process, where several time a session one after another.
        cycles: cycles of a block, taken from the first process; None for as many as fit the budget.
    """

    kind: Kind
    variants: tuple[Variant, ...]
    also: tuple[tuple[str, Variant], ...] = ()
    device: str
    data: tuple[str, str] | None = None
    images: int = 0
    seed: int | None = None
    recipe: Recipe = "same"
    number: int | None = None
    needs: Mapping[str, Trial] = field(default_factory=dict)
    sources: tuple[tuple[str, str], ...] = ()
    save_to: Path | None = None
    weights: Mapping[str, Path] = field(default_factory=dict)
    checkpoint: Path | None = None
    checkpoint_every_s: float | None = None
    process: int = 0
    cycles: int | None = None

    @functools.cached_property
    def quantity(self) -> Quantity:
        """What is measured. Pickled with the trial, since a worker may not have registered it."""
        return find_quantity(self.kind)

    @property
    def alone(self) -> bool:
        """Whether all variants are measured together, with the machine to themselves."""
        return self.quantity.per == "session"

    @property
    def trained(self) -> bool:
        """Whether it trains a model."""
        return self.quantity.trained

    @property
    def label(self) -> str:
        """As a progress view names it: ``accuracy pos_embed=none seed 3``, ``latency of 5 variants``."""
        what = self.kind.replace("_", " ")
        if self.alone:
            return f"{what} of {len(self.variants)} variant{'s' * (len(self.variants) != 1)}"
        if self.quantity.per == "machine":
            return f"{what}s of {self.variants[0].measure.dtype}"
        parts = [what, self.variants[0].name]
        parts += ["tuned"] if self.recipe == "tuned" else []
        parts += [f"try {self.number}"] if self.number is not None else []
        return " ".join([*parts, *([] if self.seed is None else [f"seed {self.seed}"])])

    @functools.cached_property
    def session(self) -> str | None:
        """The id of a joint measurement: a hash of the set of variants and the settings."""
        if not self.alone:
            return None
        return session_id(self.kind, self._alone_id(self.variants[0]), [self._alone_id(v) for v in self.variants])

    def rows(self, variant: Variant) -> Iterator[Variant]:
        """The variants that have the same measurement as this one, which comes first."""
        yield variant
        yield from (other for name, other in self.also if name == variant.name)

    def settings(self, variant: Variant) -> dict[str, Any]:
        """The settings that are part of the id, besides model, data and recipe."""
        settings = self.quantity.settings_of(variant.measure, self.device)
        source = None if variant.model is None or self.quantity.per == "machine" else source_of(variant.model)
        content = dict(self.sources).get(source or "")
        return settings | ({} if content is None else {"source": content})

    def about(self, variant: Variant) -> dict[str, Any]:
        """The settings that a record stores: those of the id, and data and recipe of a training."""
        settings = self.settings(variant)
        if not self.trained:
            return settings
        settings |= {"data": self._data(variant), "train": as_dict(variant.train)}
        if self.number is None:
            settings["recipe"] = self.recipe
        else:
            tried = {"lr": variant.train.lr, "weight_decay": variant.train.weight_decay}
            settings |= {"try": self.number, **tried}
        return settings | {role: needed.only_id for role, needed in self.needs.items()}

    def id(self, variant: Variant, *, control: bool = False) -> str:
        """The id of the variant's record; in a session it covers the session too."""
        kind = f"{self.kind}{CONTROL}" if control else self.kind
        return self._identity(kind, variant, self.session)

    @property
    def only_id(self) -> str:
        """The id of the record of a trial with one variant."""
        (variant,) = self.variants
        return self.id(variant)

    def failure_id(self, variant: Variant) -> str:
        """The id of the record that says why the variant could not be measured; it belongs to no session."""
        return self._alone_id(variant)

    def _alone_id(self, variant: Variant) -> str:
        return self._identity(self.kind, variant, None)

    def _identity(self, kind: str, variant: Variant, session: str | None) -> str:
        return identity(
            kind,
            self._config(variant),
            components=self.quantity.components,
            data=self._data(variant) if self.trained and self.data else None,
            train=self._train(variant) if self.trained else None,
            seed=self.seed,
            settings=self.settings(variant),
            session=session,
        )

    def _config(self, variant: Variant) -> dict[str, Any] | None:
        """The model's config, if the quantity depends on the model."""
        return None if variant.model is None or self.quantity.per == "machine" else as_dict(variant.model)

    def _data(self, variant: Variant) -> dict[str, Any]:
        name, version = self.data or ("", "")
        share = {key: value for key, value in as_dict(variant.data).items() if key != "type"}
        return {"name": name, "version": version, **share}

    def _train(self, variant: Variant) -> dict[str, Any]:
        """The recipe, in which the contents of files and the ids of needed trials replace their names."""
        contents = {name: f"file {content}" for name, content in self.sources}
        train = as_dict(variant.train)
        named = {role: contents.get(train[role], train[role]) for role in ROLES}
        return {**train, **named, **{role: f"trial {needed.only_id}" for role, needed in self.needs.items()}}


def session_id(kind: str, baseline: str, members: list[str]) -> str:
    """The id of a joint measurement, from the ids that its members have outside the session."""
    return digest({"kind": kind, "baseline": baseline, "members": sorted(set(members))})
