"""Ablation and records → the trials that are still to be run. No torch, no processes."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vitbench.ablation import Ablation, Variant
from vitbench.config import DataConfig, as_dict, as_pair, completed, defaults
from vitbench.errors import UserError
from vitbench.records import Record
from vitbench.run.recorded import Recorded, copied
from vitbench.run.trial import CONTROLLED, KINDS, Kind, Trial
from vitbench.run.trials import Survey, Trials
from vitbench.tuning import chosen

NOTHING = "(nothing)"
WEIGHTS = "weights"
"""The folder, beside the records, of trained models that other trials need."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run will do.

    Attributes:
        name: of the ablation.
        ablation: its declaration, settings overridden.
        survey: of data and device.
        seeds: how many.
        variants: every row, the impossible ones with their reason.
        trials: still to be run, in order: costs, timing sessions, accuracies seed by seed, tuning, tuned accuracies.
        reused: trials whose records are there already.
        failures: records of trials that failed in an earlier run and are not repeated.
        copies: of records that are there, for variants of which they are true too.
        tuning: whose tries count for whom, as the plan record says it; None without.
        total: trials of a whole run, by kind, whether recorded or not.
        macs: of each variant per image, where they were counted (a dry run counts them).
        seconds: estimate of the wall-clock time.
    """

    name: str
    ablation: Ablation
    survey: Survey
    seeds: int
    variants: tuple[Variant, ...]
    trials: tuple[Trial, ...]
    reused: tuple[Trial, ...]
    failures: tuple[Record, ...]
    copies: tuple[Record, ...] = ()
    tuning: Mapping[str, Any] | None = None
    total: Mapping[str, int] = field(default_factory=dict)
    macs: Mapping[str, int] = field(default_factory=dict)
    seconds: float | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Trials still to be run, by kind; a session is one."""
        return counted(self.trials)

    @property
    def baseline(self) -> Variant:
        return self.variants[0]

    @property
    def settings(self) -> dict[str, Any]:
        """What all records of a folder must share."""
        ablation, data = self.ablation, self.survey.data
        share = {key: value for key, value in as_dict(ablation.data_settings).items() if key != "type"}
        return {
            "data": {"name": data["name"], "version": data["version"], **share},
            "train": as_dict(ablation.train),
            "measure": as_dict(ablation.measure),
            "baseline": as_dict(ablation.baseline),
            "device": self.survey.device,
        }


def counted(trials: Iterable[Trial]) -> dict[str, int]:
    """How many of each kind; a session is one, accuracies under tuned recipes are a kind of their own."""
    return dict(Counter(trial.kind if trial.recipe == "same" else f"{trial.kind}, tuned" for trial in trials))


@dataclass
class Sorted:
    """Trials, put where they belong: to be run, or recorded, or in part."""

    recorded: Recorded
    trials: list[Trial] = field(default_factory=list)
    reused: list[Trial] = field(default_factory=list)
    failures: dict[str, Record] = field(default_factory=dict)
    copies: list[Record] = field(default_factory=list)

    def add(self, trial: Trial) -> None:
        if trial.alone:
            self._add_session(trial)
            return
        (variant,) = trial.variants
        found = self.recorded.of(trial, variant)
        self._note(trial, variant, found)
        (self.reused if found else self.trials).append(trial)

    def _add_session(self, trial: Trial) -> None:
        failed = {v.name: found for v in trial.variants if (found := self.recorded.of(trial, v))}
        for variant in trial.variants:
            self._note(trial, variant, failed.get(variant.name, []))
        left = tuple(v for v in trial.variants if v.name not in failed)
        if not left or not left[0].is_baseline:
            return  # nothing to compare with: each one's record says so
        trial = dataclasses.replace(trial, variants=left)
        session = self.recorded.session(trial)
        (self.trials if session is None else self.reused).append(trial)
        for variant in left if session is not None else ():
            self._note(trial, variant, (session or {}).get(trial.failure_id(variant), []))

    def _note(self, trial: Trial, variant: Variant, found: Sequence[Record]) -> None:
        """What is recorded of the variant; those of whom it is true and who have no record of their own get a copy."""
        if not found:
            return
        self.failures |= {record.id: record for record in found if record.failed}
        known = {(record.variant, record.settings.get("recipe", "same")) for record in found}
        rows = [row for row in trial.rows(variant) if (row.name, trial.recipe) not in known]
        self.copies += [copied(found[0], trial, row) for row in rows]


def make_plan(
    ablation: Ablation,
    survey: Survey,
    *,
    name: str,
    seeds: int,
    records: Sequence[Record] = (),
    timeout_s: float | None = None,
    kinds: Sequence[Kind] = KINDS,
    directory: Path | None = None,
) -> Plan:
    """The trials of these kinds that the records do not hold yet.

    Args:
        ablation: what to run.
        survey: of data and device.
        name: of the ablation.
        seeds: how many.
        records: of the folder.
        timeout_s: what a trial may take.
        kinds: what to measure.
        directory: the folder, where the models lie that other trials need.

    Raises:
        UserError: a baseline that is not made for the data.
    """
    check_data(ablation, survey.data)
    every = Trials(ablation, survey, seeds)
    tuning = every.tuning() if {"accuracy", "tuning"} <= set(kinds) else None
    found = Sorted(Recorded(records, timeout_s))
    measured = [trial for trial in every.measured() if trial.kind in kinds]
    total = Counter(counted(measured))
    for trial in measured:
        found.add(trial)
    if tuning is not None:
        before, tries = len(found.trials), every.tries()
        total.update(counted([*tries, *every.to_tune([v.name for v in every.able])]))
        for trial in tries:
            found.add(trial)
        waiting = {trial.variants[0].name for trial in found.trials[before:]}
        open_ = {variant for variant, tried in tuning["of"].items() if tried in waiting}
        winners = chosen({"tuning": tuning}, records)
        for trial in every.tuned({variant: won for variant, won in winners.items() if variant not in open_}):
            found.add(trial)
        found.trials += every.to_tune(open_)
    return Plan(
        name=name,
        ablation=ablation,
        survey=survey,
        seeds=seeds,
        variants=every.variants,
        trials=(*_lost(found, directory), *found.trials),
        reused=tuple(found.reused),
        failures=tuple(found.failures.values()),
        copies=tuple(found.copies),
        tuning=tuning,
        total=dict(total),
    )


def _lost(found: Sorted, directory: Path | None) -> Iterator[Trial]:
    """Trials that are recorded, but whose model is gone, and is needed by what is still to be run."""
    planned = {trial.id(trial.variants[0]) for trial in found.trials if not trial.alone}
    queue = [needed for trial in found.trials for needed in trial.needs.values()]
    while queue:
        needed = queue.pop()
        name = needed.only_id
        if name in planned or (directory is not None and weights_of(directory, needed).is_file()):
            continue
        records = found.recorded.of(needed, needed.variants[0])
        if any(record.ok for record in records):
            planned.add(name)
            found.reused = [trial for trial in found.reused if trial.alone or trial.only_id != name]
            yield needed
            queue += needed.needs.values()


def weights_of(directory: Path, trial: Trial) -> Path:
    """The file that a trained model is left in for those who need it."""
    return directory / WEIGHTS / f"{trial.only_id}.safetensors"


def check_data(ablation: Ablation, data: Mapping[str, Any]) -> None:
    """Raises UserError where the baseline is not made for the data set's images and classes."""
    model = ablation.baseline
    has = (as_pair(data["img_size"]), data["in_chans"], data["num_classes"])
    takes = (as_pair(model.img_size), model.in_chans, model.num_classes)
    if takes != has:
        raise UserError(
            f"data set {data['name']} has img_size={data['img_size']}, in_chans={has[1]}, num_classes={has[2]}, but "
            f"the baseline says img_size={model.img_size}, in_chans={takes[1]}, num_classes={takes[2]}: "
            "write the data set's into the ablation's baseline"
        )


def check_settings(plan: Plan, records: Iterable[Record], directory: Path) -> None:
    """Raises UserError where a folder holds records made under other settings, naming each difference.

    What an earlier version had no knob for was at its default.
    """
    last = next((r for r in reversed(list(records)) if r.kind == "plan"), None)
    if last is None:
        return
    then, now = (dict(_flat(_filled(settings))) for settings in (last.settings, plan.settings))
    differences = [
        f"{key}={then.get(key, NOTHING)}, you asked for {now.get(key, NOTHING)}"
        for key in sorted({*then, *now})
        if then.get(key, NOTHING) != now.get(key, NOTHING)
    ]
    if differences:
        raise UserError(
            f"{directory} holds records made with {'; '.join(differences)}: "
            "type --results OTHER, or --fresh to move that folder aside and start over"
        )


def _filled(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {**completed(settings), "data": {**defaults(DataConfig), **settings["data"]}}


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def session_size(trial: Trial) -> int:
    """Records that a session gives."""
    return sum(1 for variant in trial.variants for _ in trial.rows(variant)) + (trial.kind in CONTROLLED)
