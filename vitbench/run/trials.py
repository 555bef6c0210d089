"""An ablation's trials, in the order in which they are run; what is measured once stands for all of whom it is true."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vitbench.ablation import Ablation, Variant, family
from vitbench.config import as_dict
from vitbench.run.trial import SESSIONS, Kind, Recipe, Trial
from vitbench.tuning import FIRST_SEED, Chosen, points


@dataclass(frozen=True)
class Survey:
    """What only a process with torch could say: see ``surveying``."""

    device: str
    data: dict[str, Any]  # the DataSpec
    torch: dict[str, Any]
    sources: dict[str, str] = dataclasses.field(
        default_factory=dict
    )  # external model or checkpoint → digest of the file it stands in


class Trials:
    """The trials of an ablation on surveyed data, under so many seeds."""

    def __init__(self, ablation: Ablation, survey: Survey, seeds: int) -> None:
        """Expands the ablation; nothing is measured."""
        self.ablation, self.survey, self.seeds = ablation, survey, seeds
        self.variants = tuple(ablation.variants())
        self.able = tuple(v for v in self.variants if v.model is not None)
        self._named = {v.name: v for v in self.able}
        self._needed: dict[tuple[str, int], Trial] = {}

    def measured(self) -> list[Trial]:
        """Costs, memory, ceilings, timing sessions, and accuracies under the recipe that all share, seed by seed."""
        common: dict[str, Any] = {"device": self.survey.device, "sources": tuple(self.survey.sources.items())}
        costs: tuple[Kind, ...] = ("cost", "memory", "ceiling")
        alone = [Trial(kind=kind, variants=(v,), **common) for kind in costs for v in self.able]
        sessions = [_distinct(Trial(kind=kind, variants=self.able, **common)) for kind in SESSIONS]
        return [*merged(alone), *sessions, *self._accuracies("same", self.able)]

    def tuned(self, winners: Mapping[str, Chosen]) -> list[Trial]:
        """Accuracies of the variants that have a winner, under it."""
        return self._accuracies("tuned", [with_winner(v, winners[v.name]) for v in self.able if v.name in winners])

    def to_tune(self, names: Collection[str]) -> list[Trial]:
        """Accuracies that will be run once these variants have a winner; until then they show another recipe."""
        return self._accuracies("tuned", [v for v in self.able if v.name in names])

    def _accuracies(self, recipe: Recipe, variants: Sequence[Variant]) -> list[Trial]:
        each = [(seed, variant) for seed in range(self.seeds) for variant in variants]
        return merged(self._trained("accuracy", variant, seed, seed, recipe=recipe) for seed, variant in each)

    def needs(self, variant: Variant, seed: int) -> dict[str, Trial]:
        """The accuracy trials whose models the variant needs, each behind its role."""
        return {role: self._of(name, seed) for role, name in variant.needs.items()}

    def _of(self, name: str, seed: int) -> Trial:
        if (name, seed) not in self._needed:
            self._needed[name, seed] = self._trained("accuracy", self._named[name], seed, seed)
        return self._needed[name, seed]

    def tries(self) -> list[Trial]:
        """The tuning's tries, each number for everyone before the next."""
        tuning = self.ablation.tuning
        if tuning is None:
            return []
        seeds = range(tuning.seeds)
        return merged(
            self._trained("tuning", tried, FIRST_SEED + k, k % self.seeds, number=number)
            for number in range(tuning.tries)
            for v in self._tried().values()
            for tried in [self._with(v, number)]
            for k in seeds
        )

    def tuning(self) -> dict[str, Any] | None:
        """What the plan record says of the tuning: whose tries count for whom, and the ids of their records."""
        tuning = self.ablation.tuning
        if tuning is None:
            return None
        tried: dict[str, list[dict[str, Any]]] = {}
        for v in self._tried().values():
            tried[v.name] = []
            for number in range(tuning.tries):
                one = self._with(v, number)
                trials = [
                    self._trained("tuning", one, FIRST_SEED + k, k % self.seeds, number=number)
                    for k in range(tuning.seeds)
                ]
                values = {"lr": one.train.lr, "weight_decay": one.train.weight_decay}
                tried[v.name].append({**values, "ids": [trial.id(one) for trial in trials]})
        settings = {key: value for key, value in as_dict(tuning).items() if key != "type"}
        return {**settings, "of": {v.name: self._tried()[self._unit(v)].name for v in self.able}, "tried": tried}

    def _unit(self, variant: Variant) -> str:
        """What gets tries of its own: the variant's family, or the variant."""
        tuning, model = self.ablation.tuning, variant.model
        return family(model) if tuning is not None and tuning.per == "family" and model is not None else variant.name

    def _tried(self) -> dict[str, Variant]:
        """Whose tries they are: of every unit the first variant."""
        found: dict[str, Variant] = {}
        for variant in self.able:
            found.setdefault(self._unit(variant), variant)
        return found

    def _with(self, variant: Variant, number: int) -> Variant:
        tuning = self.ablation.tuning
        if tuning is None:
            raise ValueError("an ablation without tuning has no tries")
        lr, decay = points(tuning, (variant.train.lr, variant.train.weight_decay))[number]
        return dataclasses.replace(variant, train=dataclasses.replace(variant.train, lr=lr, weight_decay=decay))

    def _trained(self, kind: Kind, variant: Variant, seed: int, needed_seed: int, **rest: Any) -> Trial:
        return Trial(
            kind=kind,
            variants=(variant,),
            device=self.survey.device,
            data=(self.survey.data["name"], self.survey.data["version"]),
            images=self.survey.data["num_train"],
            seed=seed,
            needs=self.needs(variant, needed_seed),
            sources=tuple(self.survey.sources.items()),
            **rest,
        )


def with_winner(variant: Variant, won: Chosen) -> Variant:
    """The variant under its tuned recipe."""
    train = dataclasses.replace(variant.train, lr=won.lr, weight_decay=won.weight_decay)
    return dataclasses.replace(variant, train=train)


def merged(trials: Iterable[Trial]) -> list[Trial]:
    """One trial for each thing to be measured; the other variants of which it is true stand under ``also``."""
    found: dict[str, Trial] = {}
    for trial in trials:
        (variant,) = trial.variants
        name = trial.id(variant)
        first = found.get(name)
        also = () if first is None else (*first.also, (first.variants[0].name, variant))
        found[name] = trial if first is None else dataclasses.replace(first, also=also)
    return list(found.values())


def _distinct(trial: Trial) -> Trial:
    """A session in which each thing is timed once."""
    groups: dict[str, list[Variant]] = {}
    for variant in trial.variants:
        groups.setdefault(trial.failure_id(variant), []).append(variant)
    also = tuple((first.name, other) for first, *others in groups.values() for other in others)
    return dataclasses.replace(trial, variants=tuple(first for first, *_ in groups.values()), also=also)
