"""Ablation and records → the trials that are still to be run. No torch, no processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vitbench.declare import quantities
from vitbench.declare.ablation import Ablation, Variant
from vitbench.declare.data import DataConfig
from vitbench.declare.serialize import as_dict, completed, defaults
from vitbench.declare.sizes import as_pair
from vitbench.records.record import Record
from vitbench.records.tuning_outcome import chosen
from vitbench.run.planning.lazy_trials import Blocks, block_of
from vitbench.run.planning.pending import Sorted
from vitbench.run.planning.recorded import Recorded
from vitbench.run.planning.trial import Kind, Trial
from vitbench.run.planning.trials import Survey, Trials
from vitbench.utils.errors import UserError
from vitbench.utils.garbage_collection import without_collector

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
        trials: still to be run, in order: costs, timing sessions, accuracies seed by seed, tuning, tuned accuracies;
            each is made when it is asked for, and anew when it is asked for again.
        reused: trials whose records are there already.
        failures: records of trials that failed in an earlier run and are not repeated.
        copies: of records that are there, for variants of which they are true too.
        taken: what was, or would be, taken over from other results folders, in sentences.
        tuning: whose tries count for whom, as the plan record says it; None without.
        kinds: what is measured.
        total: trials of a whole run, by kind, whether recorded or not.
        macs: of each variant per image, where they were counted (a dry run counts them).
        seconds: estimate of the wall-clock time.
    """

    name: str
    ablation: Ablation
    survey: Survey
    seeds: int
    variants: tuple[Variant, ...]
    trials: Blocks
    reused: Blocks
    failures: tuple[Record, ...]
    copies: tuple[Record, ...] = ()
    taken: tuple[str, ...] = ()
    tuning: Mapping[str, Any] | None = None
    kinds: Sequence[Kind] = ()
    total: Mapping[str, int] = field(default_factory=dict)
    macs: Mapping[str, int] = field(default_factory=dict)
    seconds: float | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Trials still to be run, by kind; a session is one."""
        return self.trials.counts

    @property
    def needed(self) -> list[Trial]:
        """The trials whose models those need that are still to be run."""
        return _needed(self.trials) if any(v.borrows for v in self.variants) else []

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


def make_plan(
    ablation: Ablation,
    survey: Survey,
    *,
    name: str,
    seeds: int,
    records: Sequence[Record] = (),
    timeout_s: float | None = None,
    kinds: Sequence[Kind] | None = None,
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
        kinds: what to measure; by default every registered quantity.
        directory: the folder, where the models lie that other trials need.

    Raises:
        UserError: a baseline that is not made for the data.
    """
    check_data(ablation, survey.data)
    kinds = quantities.kinds() if kinds is None else kinds
    every = Trials(ablation, survey, seeds)
    tuning = every.tuning() if {"accuracy", "tuning"} <= set(kinds) else None
    recorded = Recorded(records, timeout_s) if records else None
    found = Sorted(recorded)
    with without_collector():
        whole = list(every.measured(kinds))
    for block in whole:
        found.add(block)
    if tuning is not None:
        tries = [block_of(every.tries())]
        whole += [*tries, *every.to_tune([v.name for v in every.able])]
        before = len(found.left)
        for block in tries:
            found.add(block)
        waiting = {trial.variants[0].name for block in found.left[before:] for trial in block}
        open_ = {variant for variant, tried in tuning["of"].items() if tried in waiting}
        winners = chosen({"tuning": tuning}, records)
        for block in every.tuned({variant: won for variant, won in winners.items() if variant not in open_}):
            found.add(block)
        found.left += every.to_tune(open_)
    left, lost = Blocks(found.left), list[Trial]()
    if recorded is not None and any(v.borrows for v in every.able):
        lost = list(_lost(left, recorded, directory))
    return Plan(
        name=name,
        ablation=ablation,
        survey=survey,
        seeds=seeds,
        variants=every.variants,
        trials=Blocks([*(block_of([trial]) for trial in lost), *left.parts]),
        reused=Blocks(found.reused).without({trial.only_id for trial in lost}),
        failures=tuple(found.failures.values()),
        copies=tuple(found.copies),
        tuning=tuning,
        kinds=kinds,
        total=Blocks(whole).counts,
    )


def _needed(trials: Blocks) -> list[Trial]:
    """The trials whose models these need; each once, after those that are needed earlier."""
    found = dict[Trial, None]()
    for needed in (needed for trial in trials.of(*quantities.kinds("seed", "try")) for needed in trial.needs.values()):
        found.pop(needed, None)
        found[needed] = None
    return list(found)


def _lost(left: Blocks, recorded: Recorded, directory: Path | None) -> Iterator[Trial]:
    """Trials that are recorded, but whose model is gone, and is needed by what is still to be run."""
    queue, met = _needed(left), set[str]()
    while queue:
        needed = queue.pop()
        name = needed.only_id
        if name in met or (directory is not None and weights_of(directory, needed).is_file()):
            continue
        if any(record.ok for record in recorded.of(needed, needed.variants[0])):
            met.add(name)
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
    return sum(1 for variant in trial.variants for _ in trial.rows(variant)) + trial.quantity.control
