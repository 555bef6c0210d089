"""The records that a run writes before its first trial: the plan, and the impossible variants. No torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from vitbench.declare.ablation import Ablation
from vitbench.declare.claim import Claim
from vitbench.declare.quantities import written_quantities
from vitbench.declare.serialize import as_dict
from vitbench.declare.variant import Variant, family
from vitbench.records.identity import digest
from vitbench.records.record import Record
from vitbench.run.planning.plan import Plan


def plan_record(
    plan: Plan, *, command: str, summary: str, conditions: Mapping[str, Any], jobs: int | None = None, **common: Any
) -> Record:
    """The record of kind ``plan``: what the report says about the run as a whole.

    Its id does not cover the conditions at the start, nor what ``status`` needs: the number of ``trials`` of a whole
    run by kind, and the number of ``jobs`` side by side.
    """
    ablation = plan.ablation
    values: dict[str, Any] = {
        "question": ablation.question,
        "summary": summary,
        "command": command,
        "design": ablation.design,
        "seeds": plan.seeds,
        "baseline": plan.baseline.name,
        "axes": {axis: list(axis_values) for axis, axis_values in ablation.columns.items()},
        "variants": [_row(v, plan) for v in plan.variants],
        "claims": [_claim(claim, ablation) for claim in ablation.claims],
        "data": plan.preflight.data,
        "margins": {"latency": ablation.latency_margin, "accuracy": ablation.accuracy_margin},
        "device": plan.preflight.device,
        "tuning": plan.tuning,
        **({"quantities": own} if (own := written_quantities(plan.kinds)) else {}),
        **({} if ablation.sample is None else {"sample": ablation.sample, "sample_seed": ablation.sample_seed}),
    }
    return Record(
        id=digest({"values": values, "settings": plan.settings}),
        kind="plan",
        variant="",
        config=as_dict(ablation.baseline),
        settings=plan.settings,
        values=values | {"conditions": dict(conditions), "trials": dict(plan.total), "jobs": jobs},
        **common,
    )


def same_plan(one: Record, other: Record) -> bool:
    """Whether two plan records say the same, apart from the conditions at the start."""
    return one.id == other.id and all(one.values.get(key) == other.values.get(key) for key in ("trials", "jobs"))


def _row(v: Variant, plan: Plan) -> dict[str, Any]:
    data = plan.preflight.data
    return {
        "name": v.name,
        "axes": dict(v.axes),
        "family": family(plan.ablation.baseline if v.model is None else v.model),
        "is_baseline": v.is_baseline,
        "is_reference": v.is_reference,
        "reference": v.reference,
        "curve": v.curve,
        "config": None if v.model is None else as_dict(v.model),
        "train": as_dict(v.train),
        "data": as_dict(v.data),
        "images": v.images(data["num_train"], data["num_classes"]),
        "needs": v.needs,
        "reason": v.reason,
    }


def _claim(claim: Claim, ablation: Ablation) -> dict[str, Any]:
    """The claim, with the full names of its variants."""
    row = dataclasses.asdict(claim)
    for side in ("better", "than"):
        if row[side] is not None:
            row[side] = ablation.variant(row[side]).name
    if claim.equal is not None:
        row["equal"] = [ablation.variant(wanted).name for wanted in claim.equal]
    return row


def skip_records(plan: Plan, records: Iterable[Record], **common: Any) -> list[Record]:
    """A record for every impossible variant that has none yet."""
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
