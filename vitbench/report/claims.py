"""Tests the claims of an ablation: supported, contradicted or not resolved, with the numbers behind it.

A claim against the baseline uses the comparison of the results table; the other claims on a metric form a family of
their own under Holm. Counted quantities (parameters, MACs, modelled memory), and differences that are the same under
every seed, are compared directly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import pandas as pd

from vitbench import stats
from vitbench.report.elements import Name, Phrase
from vitbench.tables.columns import column
from vitbench.tables.comparable import cell_mismatch_reason, comparable_seeds, seed_records
from vitbench.tables.compare import TIMED, UnlikeError, UnpairedError, compare_pairs, paired_units, settings_of
from vitbench.tables.frames import accuracy_seeds, latency_blocks
from vitbench.tables.study import Study

Outcome: TypeAlias = Literal["supported", "contradicted", "not resolved"]
SAMPLED = ("accuracy", *TIMED)
WITHOUT_INTERVAL = ("throughput_img_s",)
UNDECIDED = ("invalid", "not_measured", "exploratory", "inconclusive")


@dataclass(frozen=True)
class Judged:
    """A claim with its outcome and the numbers that decide."""

    text: str
    source: str
    outcome: Outcome
    because: Phrase


@dataclass(frozen=True)
class Side:
    """The comparison of ``first`` against ``second``."""

    first: str
    second: str
    comparison: stats.Comparison


def judge(study: Study, table: pd.DataFrame) -> list[Judged]:
    """Every claim of the plan, in its order."""
    claims = study.plan.get("claims") or []
    sides = _comparisons(study, claims)
    rows = table.set_index("variant", drop=False)
    judged = []
    for number, claim in enumerate(claims):
        if claim.get("along") is not None:
            outcome, because = _growth(study, rows, claim)
        elif claim["metric"] in WITHOUT_INTERVAL:
            outcome, because = "not resolved", ("throughput is the mean of a few windows: no interval, so no test",)
        elif claim["metric"] not in SAMPLED:
            outcome, because = _counted(study, rows, claim)
        elif claim.get("better") is not None:
            outcome, because = _better(claim, sides[number])
        else:
            outcome, because = _equal(study, claim, sides[number])
        judged.append(Judged(claim["text"], claim.get("source") or "", outcome, because))
    return judged


def _pair(claim: Mapping[str, Any]) -> tuple[str, str]:
    first, second = claim["equal"] if claim.get("equal") is not None else (claim["better"], claim["than"])
    return first, second


def _comparisons(study: Study, claims: list[dict[str, Any]]) -> dict[int, Side]:
    """For each claim about two variants and a sampled metric, its comparison."""
    found: dict[int, Side] = {}
    for metric in SAMPLED:
        pairs = {i: _pair(c) for i, c in enumerate(claims) if c["metric"] == metric and c.get("along") is None}
        others = [v.name for v in study.variants if not v.is_baseline]
        table = compare_pairs(study, metric, {name: (name, study.baseline) for name in others}) if pairs else {}
        own = {i: pair for i, pair in pairs.items() if study.baseline not in pair}
        family = compare_pairs(study, metric, {str(i): pair for i, pair in own.items()})
        for i, (first, second) in pairs.items():
            if i in own:
                found[i] = Side(first, second, family[str(i)])
            else:
                other = second if first == study.baseline else first
                found[i] = Side(other, study.baseline, table[other])
    return found


def _numbers(claim: Mapping[str, Any], side: Side) -> Phrase:
    c = side.comparison
    unit = "seed" if claim["metric"] == "accuracy" else "block"
    scope = f" ({c.n} {unit}s, level {100 * c.level:.4g}%)" if c.n > 1 else ""
    return (Name(side.first), " against ", Name(side.second), f": {c.verdict.text}{scope}")


def _better(claim: Mapping[str, Any], side: Side) -> tuple[Outcome, Phrase]:
    """Decided by the verdict; a difference without spread has no test, and its sign decides."""
    kind, value = side.comparison.verdict.kind, side.comparison.value
    how = stats.ACCURACY if claim["metric"] == "accuracy" else stats.LATENCY
    zero = 1.0 if how.log_ratio else 0.0
    if kind == "untested" and value != zero:
        kind = how.higher_kind if value > zero else how.lower_kind
    winner = {"better": side.first, "faster": side.first, "worse": side.second, "slower": side.second}.get(kind)
    outcome: Outcome = "supported" if winner == claim["better"] else "contradicted"
    return outcome if winner else "not resolved", _numbers(claim, side)


def _equal(study: Study, claim: Mapping[str, Any], side: Side) -> tuple[Outcome, Phrase]:
    """Supported if the 90% interval is inside the margin; contradicted if the verdict's interval is outside."""
    numbers = _numbers(claim, side)
    if side.comparison.verdict.kind in UNDECIDED:
        return "not resolved", numbers
    metric = settings_of(study, claim["metric"])
    margin = claim.get("margin") or metric.margin
    try:
        units = paired_units(study, claim["metric"], side.first, side.second)
    except UnpairedError as reason:
        what = "compared" if isinstance(reason, UnlikeError) else "measured"
        return "not resolved", (Name(side.first), " against ", Name(side.second), f": not {what}: {reason}")
    near = stats.mean_interval(units, 0.90)
    low, high = metric.hundredths(near.low), metric.hundredths(near.high)
    unit = metric.percent if metric.log_ratio or margin != 0.01 else " point"
    inside = f"; 90% interval [{low:+.1f}, {high:+.1f}]{metric.percent}, margin ±{100 * margin:g}{unit}"
    if side.comparison.verdict.kind == "equivalent" and margin == metric.margin:
        inside = ""  # the verdict has it
    zero = 1.0 if metric.log_ratio else 0.0
    far_low, far_high = side.comparison.low - zero, side.comparison.high - zero
    if -margin <= low / 100 and high / 100 <= margin:
        outcome: Outcome = "supported"
    else:
        outcome = "contradicted" if far_low > margin or far_high < -margin else "not resolved"
    return outcome, (*numbers, inside.replace("-", "−"))


def _counted(study: Study, rows: pd.DataFrame, claim: Mapping[str, Any]) -> tuple[Outcome, Phrase]:
    """Two exact numbers."""
    first, second = _pair(claim)
    shown = column(claim["metric"])
    cells: list[Any] = [rows.loc[name, claim["metric"]] if name in rows.index else None for name in (first, second)]
    one, other = (f" {shown.show(cell)}" for cell in cells)
    numbers = (Name(first), f"{one}, ", Name(second), f"{other} (counted, no interval)")
    if any(pd.isna(cell) for cell in cells):
        return "not resolved", (*numbers, ": not measured")
    if why := cell_mismatch_reason(study, claim["metric"], first, second):
        return "not resolved", (*numbers, f": not compared: {why}")
    a, b = (float(cell) for cell in cells)
    if claim.get("better") is not None:
        return "supported" if a < b else "contradicted", numbers
    return "supported" if abs(a - b) <= (claim.get("margin") or 0.01) * b else "contradicted", numbers


def _growth(study: Study, rows: pd.DataFrame, claim: Mapping[str, Any]) -> tuple[Outcome, Phrase]:
    """The exponent of a metric along an axis, with all other axes at the baseline's values."""
    axis, metric = claim["along"], claim["metric"]
    low, high = claim["exponent"]
    base = next(v for v in study.variants if v.is_baseline)
    values: dict[str, float] = {}
    for v in study.variants:
        rest = {k: value for k, value in v.axes.items() if k != axis}
        here = v.axes.get(axis)
        same = rest == {k: value for k, value in base.axes.items() if k != axis}
        own = same and not v.is_reference and not v.origin
        if own and isinstance(here, (int, float)) and not pd.isna(rows.loc[v.name, metric]):
            values[v.name] = float(here)
    asked = f"asked: {low:g} to {high:g}"
    if len(set(values.values())) < 2 or min(values.values()) <= 0:
        return "not resolved", (f"fewer than two measured values above 0 along {axis}; {asked}",)
    where = f" over {axis} {', '.join(f'{x:g}' for x in sorted(set(values.values())))}"
    whys = (cell_mismatch_reason(study, metric, name, next(iter(values))) for name in values)
    if metric not in SAMPLED and (why := next(filter(None, whys), "")):
        return "not resolved", (f"not compared{where}: {why}; {asked}",)
    if metric not in SAMPLED:
        found = stats.exponent(list(values.values()), [float(rows.loc[name, metric]) for name in values])
        outcome: Outcome = "supported" if low <= found.value <= high else "contradicted"
        return outcome, (f"exponent {found.value:.2f}{where} (counted, no interval); {asked}",)
    slopes = _slopes(study, metric, values)
    if len(slopes) < 2:
        return "not resolved", (f"too few samples in common{where}; {asked}",)
    found = stats.mean_interval(slopes)
    if found.within(low, high):
        outcome = "supported"
    else:
        outcome = "contradicted" if found.low > high or found.high < low else "not resolved"
    if len(slopes) < settings_of(study, metric).minimum:
        outcome = "not resolved"
    unit = "seeds" if metric == "accuracy" else "blocks"
    numbers = f"exponent {found.value:.2f} [{found.low:.2f}, {found.high:.2f}]{where} (95%, {found.n} {unit}); {asked}"
    return outcome, (numbers.replace("-", "−"),)


def _slopes(study: Study, metric: str, values: Mapping[str, float]) -> list[float]:
    """The exponent in each block or seed."""
    unit = "seed" if metric == "accuracy" else "block"
    samples = accuracy_seeds(study) if metric == "accuracy" else latency_blocks(study, metric)
    if metric == "accuracy":
        like, _ = comparable_seeds(study, *(seed_records(study, name) for name in values))
        samples = samples[samples["seed"].isin(like)]
    wide = samples.pivot_table(index=unit, columns="variant", values=metric).reindex(columns=list(values)).dropna()
    return [stats.exponent(list(values.values()), row).value for row in wide.to_numpy(dtype=float) if row.min() > 0]
