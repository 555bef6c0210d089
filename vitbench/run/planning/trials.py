"""The trials of an ablation, in the order in which they are run. Variants with the same measurement share one trial."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from vitbench.declare.ablation import Ablation
from vitbench.declare.families import family_of, source_of
from vitbench.declare.model import ModelConfig
from vitbench.declare.quantities import registered
from vitbench.declare.serialize import as_dict
from vitbench.declare.tuning import FIRST_SEED, points
from vitbench.declare.variant import Variant, family
from vitbench.records.identity import digest
from vitbench.records.tuning_outcome import Chosen
from vitbench.run.planning.lazy_trials import Block
from vitbench.run.planning.trial import Kind, Recipe, Trial

Group: TypeAlias = tuple[Variant, ...]
"""Variants that share one measurement; the first is measured."""

SESSION_SIZE = 32
"""Models that are timed in one session, including the baseline; one process holds all of them in memory."""


@dataclass(frozen=True)
class Preflight:
    """Facts that planning needs and only a process with torch can give (``run.preflight``)."""

    device: str
    data: dict[str, Any]  # the DataSpec
    torch: dict[str, Any]
    sources: dict[str, str] = dataclasses.field(default_factory=dict)  # external model or checkpoint → file's digest
    gpu_bytes: Sequence[int] = ()  # memory of each GPU


class Trials:
    """The trials of an ablation, in blocks whose trials are made when they are needed."""

    def __init__(self, ablation: Ablation, preflight: Preflight, seeds: int) -> None:
        """Expands the ablation into variants; measures nothing."""
        self.ablation, self.preflight, self.seeds = ablation, preflight, seeds
        self.variants = tuple(ablation.variants())
        self.able = tuple(v for v in self.variants if v.model is not None)
        self._named = {v.name: v for v in self.able}
        self._needed: dict[tuple[str, int], Trial] = {}
        self._common: dict[str, Any] = {"device": preflight.device, "sources": tuple(preflight.sources.items())}
        known: dict[Hashable, int] = {}
        self._settings = {_under(v): v for v in reversed(self.able)}
        self._groups: dict[tuple[int, ...], list[Group]] = {}
        self._models = {id(v.model): known.setdefault(_content(v.model), len(known)) for v in self.able}

    def measured(self, kinds: Collection[Kind]) -> Iterator[Block]:
        """All trials except tuning and tuned trainings, in the order of measuring; trainings seed by seed."""
        for quantity in registered():
            kind = quantity.kind
            if kind not in kinds:
                continue
            if quantity.per in {"variant", "machine"}:
                make = functools.partial(self._alone, kind=kind)
                yield Block(kind, "same", None, make, self._measured_groups(kind))
            elif quantity.per == "session":
                sessions = list(_sessions(self._measured_groups(kind)))
                yield Block(kind, "same", None, functools.partial(self._joint, kind=kind), sessions)
            elif quantity.per == "seed":
                yield from self._seeds(kind, "same", self.able)

    def tuned(self, winners: Mapping[str, Chosen]) -> Iterator[Block]:
        """Accuracies of the variants that have a winning try, trained with its values."""
        return self._seeds(
            "accuracy", "tuned", [with_winner(v, winners[v.name]) for v in self.able if v.name in winners]
        )

    def to_tune(self, names: Collection[str]) -> Iterator[Block]:
        """Accuracies that will run once these variants have a winning try; until then they show the shared recipe."""
        return self._seeds("accuracy", "tuned", [v for v in self.able if v.name in names])

    def _seeds(self, kind: Kind, recipe: Recipe, variants: Sequence[Variant]) -> Iterator[Block]:
        groups = _grouped(variants, map(self._trained_key, variants))
        for seed in range(self.seeds):
            make = functools.partial(self._trained, kind=kind, seed=seed, needed_seed=seed, recipe=recipe)
            yield Block(kind, recipe, seed, make, groups)

    def _measured_groups(self, kind: Kind) -> list[Group]:
        """The variants, grouped by the id that their records of this kind will have.

        Computing the ids would take fifty times as long. Kinds that depend on the same settings share their groups.
        """
        trial = Trial(kind=kind, variants=(), **self._common)
        settings = tuple(digest(trial.settings(first)) for first in self._settings.values())
        on_model = trial.quantity.per != "machine"
        depends = (on_model, *map(settings.index, settings))
        if depends not in self._groups:
            number = dict(zip(self._settings, settings, strict=True))
            keys = ((self._models[id(v.model)] if on_model else None, number[_under(v)]) for v in self.able)
            self._groups[depends] = _grouped(self.able, keys)
        return self._groups[depends]

    def _trained_key(self, variant: Variant) -> Hashable:
        if variant.borrows:  # only an id covers the contents of what they borrow
            return self._trained((variant,), kind="accuracy", seed=0, needed_seed=0).only_id
        return self._models[id(variant.model)], variant.data, variant.train

    def _alone(self, group: Group, kind: Kind) -> Trial:
        return Trial(kind=kind, variants=group[:1], also=_also(group), **self._common)

    def _joint(self, groups: Sequence[Group], kind: Kind) -> Trial:
        first = tuple(group[0] for group in groups)
        return Trial(kind=kind, variants=first, also=tuple(p for g in groups for p in _also(g)), **self._common)

    def _trained(self, group: Group, *, kind: Kind, seed: int, needed_seed: int, **rest: Any) -> Trial:
        return Trial(
            kind=kind,
            variants=group[:1],
            also=_also(group),
            data=(self.preflight.data["name"], self.preflight.data["version"]),
            images=self.preflight.data["num_train"],
            seed=seed,
            needs=self.needs(group[0], needed_seed),
            **self._common,
            **rest,
        )

    def needs(self, variant: Variant, seed: int) -> dict[str, Trial]:
        """Role → the accuracy trial whose model the variant needs."""
        return {role: self._of(name, seed) for role, name in variant.needs.items()}

    def _of(self, name: str, seed: int) -> Trial:
        if (name, seed) not in self._needed:
            named = self._named[name]
            self._needed[name, seed] = self._trained((named,), kind="accuracy", seed=seed, needed_seed=seed)
        return self._needed[name, seed]

    def tries(self) -> list[Trial]:
        """The tries of the tuning: try 0 of every variant, then try 1, and so on."""
        tuning = self.ablation.tuning
        if tuning is None:
            return []
        return merged(t for n in range(tuning.tries) for v in self._tried.values() for t in self._tries_of(v, n))

    def _tries_of(self, variant: Variant, number: int) -> list[Trial]:
        """One try of a variant, under every seed of the tuning."""
        tuning = self.ablation.tuning
        if tuning is None:
            raise ValueError("an ablation without tuning has no tries")
        lr, decay = points(tuning, (variant.train.lr, variant.train.weight_decay))[number]
        tried = dataclasses.replace(variant, train=dataclasses.replace(variant.train, lr=lr, weight_decay=decay))
        return [
            self._trained((tried,), kind="tuning", seed=FIRST_SEED + k, needed_seed=k % self.seeds, number=number)
            for k in range(tuning.seeds)
        ]

    def tuning(self) -> dict[str, Any] | None:
        """The tuning as the plan record stores it: whose tries each variant uses, and the ids of their records."""
        tuning = self.ablation.tuning
        if tuning is None:
            return None
        tried: dict[str, list[dict[str, Any]]] = {}
        for v in self._tried.values():
            tried[v.name] = []
            for number in range(tuning.tries):
                trials = self._tries_of(v, number)
                train = trials[0].variants[0].train
                values = {"lr": train.lr, "weight_decay": train.weight_decay}
                tried[v.name].append({**values, "ids": [trial.only_id for trial in trials]})
        settings = {key: value for key, value in as_dict(tuning).items() if key != "type"}
        return {**settings, "of": {v.name: self._tried[self._unit(v)].name for v in self.able}, "tried": tried}

    def _unit(self, variant: Variant) -> str:
        """The name of what is tuned: the variant's family, or the variant."""
        tuning, model = self.ablation.tuning, variant.model
        return family(model) if tuning is not None and tuning.per == "family" and model is not None else variant.name

    @functools.cached_property
    def _tried(self) -> dict[str, Variant]:
        """Family or variant → the variant that is tuned for it: its first one."""
        found: dict[str, Variant] = {}
        for variant in self.able:
            found.setdefault(self._unit(variant), variant)
        return found


def _under(variant: Variant) -> Hashable:
    """A key of everything that the settings of a quantity are computed from."""
    return variant.measure, None if variant.model is None else source_of(variant.model)


def _grouped(variants: Iterable[Variant], keys: Iterable[Hashable]) -> list[Group]:
    """The variants grouped by equal keys, in order."""
    found: dict[Hashable, list[Variant]] = {}
    for variant, key in zip(variants, keys, strict=True):
        found.setdefault(key, []).append(variant)
    return [tuple(group) for group in found.values()]


def _content(model: ModelConfig | None) -> Hashable:
    """A key that is equal exactly if the ids are; in an external model's options ``True`` is not ``1``."""
    return digest(as_dict(model)) if model is not None and family_of(model).compare_as_json else model


def with_winner(variant: Variant, won: Chosen) -> Variant:
    """The variant with its tuned recipe."""
    train = dataclasses.replace(variant.train, lr=won.lr, weight_decay=won.weight_decay)
    return dataclasses.replace(variant, train=train)


def merged(trials: Iterable[Trial]) -> list[Trial]:
    """One trial for each id; the other variants that share it are listed in ``also``."""
    found: dict[str, list[Trial]] = {}
    for trial in trials:
        found.setdefault(trial.only_id, []).append(trial)
    return [
        dataclasses.replace(own[0], also=_also([trial.variants[0] for trial in own])) if len(own) > 1 else own[0]
        for own in found.values()
    ]


def _also(group: Sequence[Variant]) -> tuple[tuple[str, Variant], ...]:
    """(name of the first variant, other variant) for each of the others."""
    return tuple((group[0].name, other) for other in group[1:])


def _sessions(groups: Sequence[Group]) -> Iterator[Sequence[Group]]:
    """The groups of each session: as many as one process can hold, including the baseline's.

    They stay in order, so that a variant added at the end leaves all full sessions as they are.
    """
    first, others = groups[:1], groups[1:]
    for start in range(0, max(len(others), 1), SESSION_SIZE - 1):
        yield [*first, *others[start : start + SESSION_SIZE - 1]]
