"""The plan of a run: an ablation and the records of its folder in, the trials that are still to run out. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vitbench.declare import quantities
from vitbench.declare.ablation import Ablation
from vitbench.declare.data import DataConfig
from vitbench.declare.serialize import as_dict, defaults, with_defaults
from vitbench.declare.sizes import as_pair
from vitbench.declare.variant import Variant
from vitbench.records.comparability import differences
from vitbench.records.record import Record
from vitbench.records.tuning_outcome import chosen
from vitbench.run.planning.lazy_trials import Blocks, block_of
from vitbench.run.planning.reuse import RecordIndex, TrialSplit
from vitbench.run.planning.trial import Kind, Trial
from vitbench.run.planning.trials import Preflight, Trials
from vitbench.utils.errors import UserError
from vitbench.utils.garbage_collection import without_collector

WEIGHTS = "weights"
"""The folder, beside the records, for trained models that other trials need."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run will do: ``trials``, in order, and what it need not do again."""

    name: str
    ablation: Ablation  # with the settings of the command line
    preflight: Preflight
    seeds: int
    variants: tuple[Variant, ...]  # every row; impossible ones carry their reason
    trials: Blocks
    reused: Blocks  # already recorded
    failures: tuple[Record, ...]  # of earlier runs; these trials are not repeated
    copies: tuple[Record, ...] = ()  # records to write for variants that share a recorded measurement
    reuse_notes: tuple[str, ...] = ()  # what comes from other results folders, in sentences
    tuning: Mapping[str, Any] | None = None  # which tries count for which variant, as in the plan record
    kinds: Sequence[Kind] = ()  # what is measured
    total: Mapping[str, int] = field(default_factory=dict)  # trials of a whole run by kind, recorded or not
    macs: Mapping[str, int] = field(default_factory=dict)  # per image by variant, as far as a dry run counted them
    seconds: float | None = None  # estimated wall-clock time

    @property
    def counts(self) -> dict[str, int]:
        """The number of trials still to run, by kind; a session counts once."""
        return self.trials.counts

    @property
    def needed(self) -> list[Trial]:
        """The trials whose trained models other trials of this run need."""
        return _needed(self.trials) if any(v.borrows for v in self.variants) else []

    @property
    def baseline(self) -> Variant:
        return self.variants[0]

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that all records of a folder share."""
        ablation, data = self.ablation, self.preflight.data
        data_settings = {key: value for key, value in as_dict(ablation.data_settings).items() if key != "type"}
        return {
            "data": {"name": data["name"], "version": data["version"], **data_settings},
            "train": as_dict(ablation.train),
            "measure": as_dict(ablation.measure),
            "baseline": as_dict(ablation.baseline),
            "device": self.preflight.device,
        }


def make_plan(
    ablation: Ablation,
    preflight: Preflight,
    *,
    name: str,
    seeds: int,
    records: Sequence[Record] = (),
    timeout_s: float | None = None,
    kinds: Sequence[Kind] | None = None,
    directory: Path | None = None,
) -> Plan:
    """The plan for these kinds of trials, given the records of the folder ``directory``.

    A trial that timed out earlier runs again if ``timeout_s`` now allows it more time. Without ``kinds``, every
    registered quantity is measured.

    Raises:
        UserError: the baseline does not fit the data.
    """
    check_data(ablation, preflight.data)
    kinds = quantities.kinds() if kinds is None else kinds
    all_trials = Trials(ablation, preflight, seeds)
    tuning = all_trials.tuning() if {"accuracy", "tuning"} <= set(kinds) else None
    index = RecordIndex(records, timeout_s) if records else None
    split = TrialSplit(index)
    with without_collector():
        whole = list(all_trials.measured(kinds))
    for block in whole:
        split.add(block)
    if tuning is not None:
        tries = block_of(all_trials.tries())
        whole += [tries, *all_trials.to_tune([v.name for v in all_trials.able])]
        before = len(split.to_run)
        split.add(tries)
        unfinished = {trial.variants[0].name for block in split.to_run[before:] for trial in block}
        undecided = {variant for variant, tried in tuning["of"].items() if tried in unfinished}
        winners = chosen({"tuning": tuning}, records)
        for block in all_trials.tuned({name: won for name, won in winners.items() if name not in undecided}):
            split.add(block)
        split.to_run += all_trials.to_tune(undecided)
    to_run, lost = Blocks(split.to_run), list[Trial]()
    if index is not None and any(v.borrows for v in all_trials.able):
        lost = list(_lost_models(to_run, index, directory))
    return Plan(
        name=name,
        ablation=ablation,
        preflight=preflight,
        seeds=seeds,
        variants=all_trials.variants,
        trials=Blocks([*(block_of([trial]) for trial in lost), *to_run.parts]),
        reused=Blocks(split.reused).without({trial.only_id for trial in lost}),
        failures=tuple(split.failures.values()),
        copies=tuple(split.copies),
        tuning=tuning,
        kinds=kinds,
        total=Blocks(whole).counts,
    )


def _needed(trials: Blocks) -> list[Trial]:
    """The trials whose models these trials need, each once and after the trials that it needs itself."""
    found = dict[Trial, None]()
    for needed in (needed for trial in trials.of(*quantities.kinds("seed", "try")) for needed in trial.needs.values()):
        found.pop(needed, None)
        found[needed] = None
    return list(found)


def _lost_models(to_run: Blocks, index: RecordIndex, directory: Path | None) -> Iterator[Trial]:
    """Recorded trials that must be trained again: their model file is gone, and a trial that is to run needs it."""
    queue, met = _needed(to_run), set[str]()
    while queue:
        needed = queue.pop()
        if needed.only_id in met or (directory is not None and weights_of(directory, needed).is_file()):
            continue
        if any(record.ok for record in index.find(needed.only_id)):
            met.add(needed.only_id)
            yield needed
            queue += needed.needs.values()


def weights_of(directory: Path, trial: Trial) -> Path:
    """The file of a trained model that other trials need."""
    return directory / WEIGHTS / f"{trial.only_id}.safetensors"


def check_data(ablation: Ablation, data: Mapping[str, Any]) -> None:
    """Raises UserError if the baseline does not fit the images and classes of the data set."""
    model = ablation.baseline
    expected = (as_pair(data["img_size"]), data["in_chans"], data["num_classes"])
    actual = (as_pair(model.img_size), model.in_chans, model.num_classes)
    if actual != expected:
        raise UserError(
            f"data set {data['name']} has img_size={data['img_size']}, in_chans={expected[1]}, "
            f"num_classes={expected[2]}, but the baseline has img_size={model.img_size}, in_chans={actual[1]}, "
            f"num_classes={actual[2]}: set these three in the ablation's baseline to the values of the data set"
        )


def check_settings(plan: Plan, records: Iterable[Record], directory: Path) -> None:
    """Raises UserError if the folder holds records with other settings; the message names each difference.

    A setting that a record lacks had its default value.
    """
    last = next((r for r in reversed(list(records)) if r.kind == "plan"), None)
    if last is None:
        return
    found = sorted(differences(_filled(last.settings), _filled(plan.settings)))
    if found:
        named = "; ".join(f"{path}={then}, you asked for {now}" for path, then, now in found)
        raise UserError(
            f"{directory} holds records made with {named}: "
            "type --results OTHER, or --fresh to move that folder aside and start over"
        )


def _filled(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {**with_defaults(settings), "data": {**defaults(DataConfig), **settings["data"]}}


def session_size(trial: Trial) -> int:
    """The number of records that a timing session gives."""
    return sum(1 for variant in trial.variants for _ in trial.rows(variant)) + trial.quantity.control
