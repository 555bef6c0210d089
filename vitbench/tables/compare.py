"""Comparisons of variants with the baseline: paired samples, and verdicts with Holm's correction from ``stats``."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vitbench import stats
from vitbench.records.record import Record
from vitbench.tables import comparable
from vitbench.tables.columns import STATUS_WORDS
from vitbench.tables.study import Study
from vitbench.tables.timing_units import FIXED_LEVEL, level_of, log_ratios, unit, unstable

TIMED = {"latency_ms": "latency", "train_step_ms": "train_step"}
"""Column → kind of record, for the metrics that joint sessions time and that are compared as ratios per block."""
CONTROL_LEVEL = 0.99

FIELDS = ("metric", "variant", "value", "low", "high", "level", "n", "p", "sign_flip_p", "kind", "verdict")


class UnpairedError(ValueError):
    """Two variants have no paired samples; the message completes "not measured: …"."""


class UnlikeError(UnpairedError):
    """Two variants' samples are not comparable; the message completes "not compared: …"."""


def seed_accuracies(study: Study, variant: str) -> dict[int, float]:
    """Seed → test accuracy as a fraction."""
    return {r.seed: float(r.values["accuracy"]) for r in study.of("accuracy", variant) if r.seed is not None}


def why_missing(study: Study, variant: str, kind: str) -> str:
    """The reason why a variant has no measurement of a kind."""
    planned = study.planned(variant)
    if planned is not None and planned.reason is not None:
        return f"skipped, {planned.reason}"
    tried = study.of(kind, variant, ok=False)
    if not tried:
        return "not run yet"
    status = STATUS_WORDS.get(tried[-1].status, tried[-1].status)
    return f"{status}, {tried[-1].reason}" if tried[-1].reason else status


def joint_session(study: Study, kind: str, variant: str, baseline: str) -> dict[str, Record]:
    """The joint timing session of two variants: variant → record.

    Raises:
        UnpairedError: no session timed both variants under comparable conditions.
    """
    unlike = ""
    for session in study.sessions(kind):
        if variant in session and baseline in session:
            why = comparable.mismatch_reason(study, session[variant], session[baseline])
            if not why:
                return session
            unlike = unlike or why
    ours, theirs = (comparable.source_record(study, kind, name) for name in (variant, baseline))
    if unlike or (ours and theirs and (unlike := comparable.mismatch_reason(study, ours, theirs))):
        raise UnlikeError(unlike)
    for name in (variant, baseline):
        if not study.of(kind, name):
            whose = "" if name == variant else f"{name}: "
            raise UnpairedError(whose + why_missing(study, name, kind))
    raise UnpairedError(f"never timed in one session with {baseline}")


def paired_units(study: Study, metric: str, variant: str, baseline: str) -> NDArray[np.float64]:
    """Paired units (units,) of a metric: timings' log-ratios per block or process, accuracy's differences per seed.

    Raises:
        UnpairedError: the variants have no samples in common, or none under comparable conditions.
    """
    if metric in TIMED:
        session = joint_session(study, TIMED[metric], variant, baseline)
        return log_ratios(session[variant], session[baseline])
    ours, theirs = seed_accuracies(study, variant), seed_accuracies(study, baseline)
    if not ours.keys() & theirs.keys():
        lacking = next((name for name, seeds in ((variant, ours), (baseline, theirs)) if not seeds), None)
        if lacking is None:
            raise UnpairedError(f"no seed in common with {baseline}")
        raise UnpairedError(("" if lacking == variant else f"{lacking}: ") + why_missing(study, lacking, "accuracy"))
    kept, unlike = comparable.comparable_seeds(study, *(comparable.seed_records(study, v) for v in (baseline, variant)))
    if not kept:
        raise UnlikeError(next(iter(unlike.values())))
    return by_seed({seed: ours[seed] for seed in kept}, theirs)


def by_seed(ours: Mapping[int, float], theirs: Mapping[int, float]) -> NDArray[np.float64]:
    """Differences (seeds,) for the common seeds, in ascending order."""
    return np.array([ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())])


def control_units(study: Study, metric: str, session: dict[str, Record]) -> NDArray[np.float64] | None:
    """Log-ratios of the baseline's clone to the baseline in a joint timing (units,); None without a clone."""
    baseline = session.get(study.baseline)
    control = study.control(TIMED[metric], baseline.session) if baseline else None
    return log_ratios(control, baseline) if control and baseline else None


def noise_floor(study: Study, metric: str = "latency_ms") -> stats.Interval | None:
    """The A/A control of the deciding session: the ratio clone ÷ baseline with its 99 % interval."""
    session = next(study.sessions(TIMED[metric]), None)
    units = control_units(study, metric, session) if session else None
    return stats.ratio_interval(units, CONTROL_LEVEL) if units is not None else None


def settings_of(study: Study, metric: str) -> stats.Metric:
    """The metric for ``stats``, with the ablation's equivalence margin and target."""
    margins = study.plan.get("margins") or {}
    if metric in TIMED:
        target = (study.settings.get("measure") or {}).get("target", stats.LATENCY.target)
        return replace(stats.LATENCY, margin=margins.get("latency", stats.LATENCY.margin), target=target)
    return replace(stats.ACCURACY, margin=margins.get("accuracy", stats.ACCURACY.margin))


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """The paired samples of two variants, or the reason why there are none."""

    units: NDArray[np.float64] | None = None
    ids: tuple[str, ...] = ()  # ids of the records that the units come from
    reason: str = ""  # why there are no units
    mismatch: bool = False  # whether the reason is that the samples are not comparable
    control: Record | None = None  # the A/A control of a timing
    control_held: bool = True
    unstable: bool = False


def _sample(study: Study, metric: str, variant: str, other: str) -> _Sample:
    """The paired samples of two variants, with the outcome of the session's A/A control."""
    try:
        units = paired_units(study, metric, variant, other)
    except UnpairedError as error:
        return _Sample(reason=str(error), mismatch=isinstance(error, UnlikeError))
    ids = (*_ids(study, metric, variant), "", *_ids(study, metric, other))
    if metric not in TIMED:
        return _Sample(units=units, ids=ids)
    session = joint_session(study, TIMED[metric], variant, other)
    control = study.control(TIMED[metric], session[other].session)
    drifts = unstable(session[variant], session[other], control)
    clones = control_units(study, metric, session)
    if clones is None:
        return _Sample(ids=ids, reason="the session has no A/A control", control=control, unstable=drifts)
    held = stats.control_holds(clones, CONTROL_LEVEL)
    return _Sample(units=units, ids=ids, control=control, control_held=held, unstable=drifts)


def compare_pairs(study: Study, metric: str, pairs: Mapping[str, tuple[str, str]]) -> dict[str, stats.Comparison]:
    """Name → comparison, for pairs given as name → (variant, variant to compare with); Holm corrects over all pairs.

    Pairs that share their measurements are one hypothesis, tested once. A timing has no verdict if its session has no
    A/A control or the control fails.
    """
    samples = {name: _sample(study, metric, *pair) for name, pair in pairs.items()}
    first: dict[tuple[str, ...], str] = {}
    tested_as = {name: first.setdefault(sample.ids, name) if sample.ids else name for name, sample in samples.items()}
    samples = {name: sample for name, sample in samples.items() if tested_as[name] == name}

    controls = [sample.control for sample in samples.values() if sample.ids]
    metric_of = settings_of(study, metric)
    kinds_of_unit = {unit(control) for control in controls if control is not None}
    if len(kinds_of_unit) == 1:
        metric_of = replace(metric_of, unit=kinds_of_unit.pop())
    alpha = round(1 - max(map(level_of, controls), default=FIXED_LEVEL), 6)

    def compared(names: Collection[str], *, valid: bool = True) -> dict[str, stats.Comparison]:
        units = {name: samples[name].units for name in names}
        return stats.compare_with_holm(
            {name: found for name, found in units.items() if found is not None},
            metric_of,
            alpha=alpha,
            valid=valid,
            unstable={name for name in names if samples[name].unstable},
            missing={name: samples[name].reason for name, found in units.items() if found is None},
        )

    failed = [name for name, sample in samples.items() if not sample.control_held]
    found = compared([name for name in samples if name not in failed]) | compared(failed, valid=False)
    for name, sample in samples.items():
        if sample.mismatch:
            found[name] = replace(found[name], verdict=stats.Verdict("not_measured", f"not compared: {sample.reason}"))
    return {name: found[tested_as[name]] for name in pairs}


def _ids(study: Study, metric: str, variant: str) -> tuple[str, ...]:
    """Ids of the records behind a variant's value of a metric."""
    return tuple(r.id for r in study.of(TIMED.get(metric, "accuracy"), variant))


def comparisons(study: Study) -> pd.DataFrame:
    """The comparison of every variant with the baseline in accuracy (a difference of fractions) and latency (a ratio).

    Returns:
        One row per metric and variant: ``metric, variant, value, low, high, level, n, p, sign_flip_p, kind, verdict``.
    """
    rows = []
    others = [v.name for v in study.variants if not v.is_baseline]
    for metric in ("accuracy", "latency_ms"):
        found = compare_pairs(study, metric, {name: (name, study.baseline) for name in others})
        rows += [
            (metric, name, c.value, c.low, c.high, c.level if c.n > 1 else math.nan, c.n, c.p, c.sign_flip_p,
             c.verdict.kind, c.verdict.text)
            for name, c in found.items()
        ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(FIELDS))
