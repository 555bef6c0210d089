"""A trial: what one job measures, and the ids of the records that it will give. No torch."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from vitbench.declare.ablation import Variant
from vitbench.declare.external import ExternalConfig
from vitbench.declare.quantities import CONTROL, Quantity, find_quantity
from vitbench.declare.serialize import as_dict
from vitbench.declare.variant import ROLES
from vitbench.records.identity import digest, identity

Kind: TypeAlias = str
"""Of a registered quantity (``vitbench.declare.quantities``)."""

Recipe: TypeAlias = Literal["same", "tuned"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """One job's worth of measuring.

    Attributes:
        kind: what is measured.
        variants: one; all that differ in what is measured, the baseline first, in a session.
        also: variants of which the same measurement is true, each behind the name of the one that is measured.
        device: ``cpu`` or ``cuda``.
        data: the data set's name and version; of what is trained only.
        images: of its whole training split.
        seed: of what is trained only.
        recipe: whether an accuracy is under the recipe that all share, or under the variant's tuned one.
        number: of a tuning's try; 0 is the recipe's own values.
        needs: the trials whose models this one needs, each behind its role: ``teacher``, ``init_from``.
        sources: of external models and checkpoints, each with its digest: whoever edits one gets new numbers.
        save_to: where the trained model goes; set when the trial is run, as are ``weights``, the files of what it
            needs, each behind its role.
        checkpoint: where its training leaves its state, and finds it; set likewise.
        checkpoint_every_s: how often; None: as ``train.checkpoint`` says.
        process: the number of this one, where several time a session one after another.
        cycles: of a block, as the first process took them; None: what fits the budget.
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
        """The id of a joint timing: a hash of the set of variants and the settings."""
        if not self.alone:
            return None
        return session_id(self.kind, self._alone_id(self.variants[0]), [self._alone_id(v) for v in self.variants])

    def rows(self, variant: Variant) -> Iterator[Variant]:
        """The variants that a measurement of this one speaks for: itself first."""
        yield variant
        yield from (other for name, other in self.also if name == variant.name)

    def settings(self, variant: Variant) -> dict[str, Any]:
        """The settings that determine this kind's numbers, beside model, data and recipe."""
        settings = self.quantity.settings_of(variant.measure, self.device)
        model, sources = variant.model, dict(self.sources)
        if self._config(variant) is not None and isinstance(model, ExternalConfig) and model.source in sources:
            settings["source"] = sources[model.source]
        return settings

    def about(self, variant: Variant) -> dict[str, Any]:
        """The settings as a record notes them: with data and recipe where something is trained."""
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
        """The id of a record of the variant: of the session's if there is one."""
        kind = f"{self.kind}{CONTROL}" if control else self.kind
        return self._identity(kind, variant, self.session)

    @property
    def only_id(self) -> str:
        """The id of the record of a trial that has one variant."""
        (variant,) = self.variants
        return self.id(variant)

    def failure_id(self, variant: Variant) -> str:
        """The id of the record that says why the variant could not be measured: of no session, since it was in none."""
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
        """The model's config, for what depends on the model."""
        return None if variant.model is None or self.quantity.per == "machine" else as_dict(variant.model)

    def _data(self, variant: Variant) -> dict[str, Any]:
        name, version = self.data or ("", "")
        share = {key: value for key, value in as_dict(variant.data).items() if key != "type"}
        return {"name": name, "version": version, **share}

    def _train(self, variant: Variant) -> dict[str, Any]:
        """The recipe, with what files hold, and the trials that it needs, in the place of their names."""
        contents = {name: f"file {content}" for name, content in self.sources}
        train = as_dict(variant.train)
        named = {role: contents.get(train[role], train[role]) for role in ROLES}
        return {**train, **named, **{role: f"trial {needed.only_id}" for role, needed in self.needs.items()}}


def session_id(kind: str, baseline: str, members: list[str]) -> str:
    """The id of a joint timing, from the ids that its members have outside it."""
    return digest({"kind": kind, "baseline": baseline, "members": sorted(set(members))})
