"""Ablation and records → the trials that are still to be run. No torch, no processes."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitbench.ablation import Ablation, Claim, Variant, family
from vitbench.config import as_dict, as_pair
from vitbench.errors import UserError
from vitbench.records import Record, digest
from vitbench.run.trial import CONTROLLED, KINDS, SESSIONS, Kind, Trial

NOTHING = "(nothing)"


@dataclass(frozen=True)
class Survey:
    """What only a process with torch could say: see ``kinds.survey``."""

    device: str
    data: dict[str, Any]  # the DataSpec
    torch: dict[str, Any]
    sources: dict[str, str] = dataclasses.field(
        default_factory=dict
    )  # external model → digest of the file it stands in


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run will do.

    Attributes:
        name: of the ablation.
        ablation: its declaration, settings overridden.
        survey: of data and device.
        seeds: how many.
        variants: every row, the impossible ones with their reason.
        trials: still to be run, in order: costs, timing sessions, accuracies seed by seed.
        reused: trials whose records are there already.
        failures: records of trials that failed in an earlier run and are not repeated.
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
    macs: Mapping[str, int] = dataclasses.field(default_factory=dict)
    seconds: float | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Trials still to be run, by kind; a session is one."""
        return dict(Counter(trial.kind for trial in self.trials))

    @property
    def baseline(self) -> Variant:
        return self.variants[0]

    @property
    def settings(self) -> dict[str, Any]:
        """What all records of a folder must share."""
        ablation = self.ablation
        return {
            "data": {"name": self.survey.data["name"], "version": self.survey.data["version"]},
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
    kinds: Sequence[Kind] = KINDS,
) -> Plan:
    """The trials of these kinds that the records do not hold yet.

    Raises:
        UserError: a baseline that is not made for the data.
    """
    check_data(ablation, survey.data)
    variants = tuple(ablation.variants())
    done = {r.id: r for r in records if r.kind != "plan" and _stands(r, timeout_s)}
    sessions = {(r.kind, r.session) for r in records if r.session is not None}
    trials: list[Trial] = []
    reused: list[Trial] = []
    failures: dict[str, Record] = {}
    for trial in _trials(variants, survey, seeds):
        if trial.kind not in kinds:
            continue
        earlier = [done[i] for v in trial.variants if (i := trial.failure_id(v)) in done]
        failed = {r.id: r for r in earlier if r.failed}
        failures |= failed
        if not trial.alone:
            (reused if earlier else trials).append(trial)
            continue
        left = tuple(v for v in trial.variants if trial.failure_id(v) not in failed)
        if not left or not left[0].is_baseline:
            continue  # nothing to compare with: each one's record says so
        trial = dataclasses.replace(trial, variants=left)  # noqa: PLW2901
        (reused if (trial.kind, trial.session) in sessions else trials).append(trial)
    return Plan(
        name=name,
        ablation=ablation,
        survey=survey,
        seeds=seeds,
        variants=variants,
        trials=tuple(trials),
        reused=tuple(reused),
        failures=tuple(failures.values()),
    )


def _trials(variants: Sequence[Variant], survey: Survey, seeds: int) -> Iterator[Trial]:
    able = tuple(v for v in variants if v.model is not None)
    device, sources = survey.device, tuple(survey.sources.items())
    costs: tuple[Kind, ...] = ("cost", "memory")
    for kind in costs:
        for variant in able:
            yield Trial(kind=kind, variants=(variant,), device=device, sources=sources)
    for kind in SESSIONS:
        yield Trial(kind=kind, variants=able, device=device, sources=sources)
    data = (survey.data["name"], survey.data["version"])
    for seed in range(seeds):
        for variant in able:
            yield Trial(kind="accuracy", variants=(variant,), device=device, data=data, seed=seed, sources=sources)


def _stands(record: Record, timeout_s: float | None) -> bool:
    """Whether it need not be repeated; a time-out is, when there is more time now."""
    if record.status != "timeout":
        return True
    then = record.settings.get("timeout_s")
    return timeout_s is not None and then is not None and timeout_s <= then


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


def check_settings(plan: Plan, records: Sequence[Record], directory: Path) -> None:
    """Raises UserError where a folder holds records made under other settings, naming each difference."""
    last = next((r for r in reversed(records) if r.kind == "plan"), None)
    if last is None:
        return
    then, now = (dict(_flat(settings)) for settings in (last.settings, plan.settings))
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


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def plan_record(plan: Plan, *, command: str, summary: str, conditions: Mapping[str, Any], **common: Any) -> Record:
    """The record of kind ``plan``: all that the report says about the run as a whole."""
    ablation = plan.ablation
    values: dict[str, Any] = {
        "question": ablation.question,
        "summary": summary,
        "command": command,
        "design": ablation.design,
        "seeds": plan.seeds,
        "baseline": plan.baseline.name,
        "axes": {axis: list(axis_values) for axis, axis_values in ablation.axes.items()},
        "variants": [
            {
                "name": v.name,
                "axes": dict(v.axes),
                "family": family(ablation.baseline if v.model is None else v.model),
                "is_baseline": v.is_baseline,
                "is_reference": v.is_reference,
                "config": None if v.model is None else as_dict(v.model),
                "reason": v.reason,
            }
            for v in plan.variants
        ],
        "claims": [_claim(claim, ablation) for claim in ablation.claims],
        "data": plan.survey.data,
        "margins": {"latency": ablation.latency_margin, "accuracy": ablation.accuracy_margin},
        "device": plan.survey.device,
    }
    return Record(
        id=digest({"values": values, "settings": plan.settings}),
        kind="plan",
        variant="",
        config=as_dict(ablation.baseline),
        settings=plan.settings,
        values=values | {"conditions": dict(conditions)},
        **common,
    )


def _claim(claim: Claim, ablation: Ablation) -> dict[str, Any]:
    """The claim with its variants' whole names."""
    row = dataclasses.asdict(claim)
    for side in ("better", "than"):
        if row[side] is not None:
            row[side] = ablation.variant(row[side]).name
    if claim.equal is not None:
        row["equal"] = [ablation.variant(wanted).name for wanted in claim.equal]
    return row


def skip_records(plan: Plan, records: Iterable[Record], **common: Any) -> list[Record]:
    """A record for every impossible cell that has none yet."""
    known = {r.id for r in records}
    rows = [
        Record(
            id=digest({"kind": "skip", "axes": dict(v.axes), "variant": v.name, "reason": v.reason}),
            kind="skip",
            variant=v.name,
            axes=dict(v.axes),
            status="skipped",
            reason=v.reason,
            **common,
        )
        for v in plan.variants
        if v.model is None
    ]
    return [row for row in rows if row.id not in known]


def session_size(trial: Trial) -> int:
    """Records that a session gives."""
    return len(trial.variants) + (trial.kind in CONTROLLED)
