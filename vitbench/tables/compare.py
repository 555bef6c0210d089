"""Variants against the baseline: which samples are paired, and the family of verdicts that ``stats`` gives them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vitbench import stats
from vitbench.records.record import Record
from vitbench.tables import comparable
from vitbench.tables.columns import STATUS_WORDS
from vitbench.tables.study import Study
from vitbench.tables.timings import FIXED_LEVEL, level_of, log_ratios, unit, unstable

TIMED = {"latency_ms": "latency", "train_step_ms": "train_step"}
"""Column → kind of record: metrics timed in joint sessions, compared as ratios block by block."""
CONTROL_LEVEL = 0.99

FIELDS = ("metric", "variant", "value", "low", "high", "level", "n", "p", "sign_flip_p", "kind", "verdict")


class UnpairedError(ValueError):
    """Two variants have no samples in common; the message is the reason, fit to stand behind "not measured"."""


class UnlikeError(UnpairedError):
    """Their samples must not be subtracted; the message says what differs, fit to stand behind "not compared"."""


def seed_accuracies(study: Study, variant: str) -> dict[int, float]:
    """Seed → test accuracy as a fraction."""
    return {r.seed: float(r.values["accuracy"]) for r in study.of("accuracy", variant) if r.seed is not None}


def why_missing(study: Study, variant: str, kind: str) -> str:
    """Why a variant has no measurement of a kind."""
    planned = study.planned(variant)
    if planned is not None and planned.reason is not None:
        return f"skipped, {planned.reason}"
    tried = study.of(kind, variant, ok=False)
    if not tried:
        return "not run yet"
    status = STATUS_WORDS.get(tried[-1].status, tried[-1].status)
    return f"{status}, {tried[-1].reason}" if tried[-1].reason else status


def joint_session(study: Study, kind: str, variant: str, baseline: str) -> dict[str, Record]:
    """The joint timing that compares two variants: both were called in the same cycles.

    Raises:
        UnpairedError: there is none.
    """
    unlike = ""
    for session in study.sessions(kind):
        if variant in session and baseline in session:
            why = comparable.why_unlike(study, session[variant], session[baseline])
            if not why:
                return session
            unlike = unlike or why
    ours, theirs = (comparable.behind(study, kind, name) for name in (variant, baseline))
    if unlike or (ours and theirs and (unlike := comparable.why_unlike(study, ours, theirs))):
        raise UnlikeError(unlike)
    for name in (variant, baseline):
        if not study.of(kind, name):
            whose = "" if name == variant else f"{name}: "
            raise UnpairedError(whose + why_missing(study, name, kind))
    raise UnpairedError(f"never timed in one session with {baseline}")


def paired_units(study: Study, metric: str, variant: str, baseline: str) -> NDArray[np.float64]:
    """Paired units of a sampled metric: log-ratios a block (or process) for a timing, differences a seed for accuracy.

    Raises:
        UnpairedError: the two have nothing in common, or nothing under like conditions.
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
    kept, unlike = comparable.like_seeds(study, *(comparable.seed_records(study, v) for v in (baseline, variant)))
    if not kept:
        raise UnlikeError(next(iter(unlike.values())))
    return by_seed({seed: ours[seed] for seed in kept}, theirs)


def by_seed(ours: Mapping[int, float], theirs: Mapping[int, float]) -> NDArray[np.float64]:
    """Differences (seeds in common,), in the order of the seeds."""
    return np.array([ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())])


def control_units(study: Study, metric: str, session: dict[str, Record]) -> NDArray[np.float64] | None:
    """Log-ratios of the baseline's clone over the baseline, in a joint timing, one a block or process."""
    baseline = session.get(study.baseline)
    control = study.control(TIMED[metric], baseline.session) if baseline else None
    return log_ratios(control, baseline) if control and baseline else None


def noise_floor(study: Study, metric: str = "latency_ms") -> stats.Interval | None:
    """The A/A control of the session that decides: the ratio it saw where there is none, with its 99 % interval."""
    session = next(study.sessions(TIMED[metric]), None)
    units = control_units(study, metric, session) if session else None
    return stats.ratio_interval(units, CONTROL_LEVEL) if units is not None else None


def settings_of(study: Study, metric: str) -> stats.Metric:
    """How ``stats`` reads a sampled metric's units, with the ablation's margin."""
    margins = study.plan.get("margins") or {}
    if metric in TIMED:
        target = (study.settings.get("measure") or {}).get("target", stats.LATENCY.target)
        return replace(stats.LATENCY, margin=margins.get("latency", stats.LATENCY.margin), target=target)
    return replace(stats.ACCURACY, margin=margins.get("accuracy", stats.ACCURACY.margin))


def compare_pairs(study: Study, metric: str, pairs: dict[str, tuple[str, str]]) -> dict[str, stats.Comparison]:
    """One family: name → (variant, the one it is compared with), each with its verdict.

    A timing whose session lacks a control, or whose control fails, yields no verdict.
    """
    units: dict[str, NDArray[np.float64]] = {}
    missing: dict[str, str] = {}
    invalid: set[str] = set()
    unlike: dict[str, str] = {}
    twins: dict[str, str] = {}
    first: dict[tuple[str, ...], str] = {}
    drifting: set[str] = set()
    controls: dict[str, Record | None] = {}
    for name, (variant, other) in pairs.items():
        try:
            found = paired_units(study, metric, variant, other)
        except UnpairedError as reason:
            (unlike if isinstance(reason, UnlikeError) else missing)[name] = str(reason)
            continue
        original = first.setdefault((*_ids(study, metric, variant), "", *_ids(study, metric, other)), name)
        if original != name:  # one measurement that stands for several rows is one hypothesis, tested once
            twins[name] = original
            continue
        units[name] = found
        if metric in TIMED:
            session = joint_session(study, TIMED[metric], variant, other)
            controls[name] = study.control(TIMED[metric], session[other].session)
            if unstable(session[variant], session[other], controls[name]):
                drifting.add(name)
            control = control_units(study, metric, session)
            if control is None:
                missing[name] = "the session has no A/A control"
                del units[name]
            elif not stats.control_holds(control, CONTROL_LEVEL):
                invalid.add(name)
    how = settings_of(study, metric)
    units_of = {unit(control) for control in controls.values() if control is not None}
    how = replace(how, unit=units_of.pop()) if len(units_of) == 1 else how
    alpha = round(1 - max(map(level_of, controls.values()), default=FIXED_LEVEL), 6)
    tested = stats.family(units, how, alpha=alpha, unstable=drifting, missing=missing | unlike)
    for name, why in unlike.items():
        tested[name] = replace(tested[name], verdict=stats.Verdict("not_measured", f"not compared: {why}"))
    tested |= stats.family({name: units[name] for name in invalid}, how, alpha=alpha, valid=False)
    return {name: tested[twins.get(name, name)] for name in pairs}


def _ids(study: Study, metric: str, variant: str) -> tuple[str, ...]:
    """Which measurements of a metric a variant's row rests on."""
    return tuple(r.id for r in study.of(TIMED.get(metric, "accuracy"), variant))


def comparisons(study: Study) -> pd.DataFrame:
    """Every variant against the baseline, in latency (a ratio) and accuracy (a difference of fractions).

    Returns:
        One row a metric and variant: ``metric, variant, value, low, high, level, n, p, sign_flip_p, kind, verdict``.
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
