"""What a reader must know before believing the answer."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from vitbench import stats
from vitbench.report.elements import Name, Phrase, first, names, span
from vitbench.stats.timing_diagnostics import STALL
from vitbench.tables.comparable import comparable_seeds, mismatch_reason, seed_records, source_record
from vitbench.tables.compare import TIMED, noise_floor
from vitbench.tables.study import Study
from vitbench.tables.timing_units import blocks, order_effect

QUANTITIES = {
    "latency": "Latency",
    "train_step": "Training step",
    "throughput": "Throughput",
    "memory": "Memory",
    "cost": "Counts",
}
TIMINGS = {"latency": "latency", "train_step": "training step"}


def caveats(study: Study, compared: pd.DataFrame) -> list[Phrase]:
    """All caveats, the most important first."""
    return [
        *_failed_control(study, compared),
        *_few_seeds(compared),
        *((remark,) for remark in study.remarks),
        *mismatches(study),
        *timing_caveats(study),
        *_unfinished(study),
        *_counting(study),
    ]


def _failed_control(study: Study, compared: pd.DataFrame) -> Iterator[Phrase]:
    if "invalid" in set(compared["kind"]):
        noise = noise_floor(study)
        seen = f" (ratio {noise.value:.3f} [{noise.low:.3f}, {noise.high:.3f}])" if noise else ""
        said = f"INVALID timing: the session finds a difference between the baseline and its own clone{seen}, so its "
        yield (said, "ratios cannot be trusted. Run again on a quieter machine.")


def _few_seeds(compared: pd.DataFrame) -> Iterator[Phrase]:
    accuracy = compared[compared["metric"] == "accuracy"]
    few = accuracy[accuracy["kind"] == "exploratory"]
    if len(few) and few["n"].max() == accuracy["n"].max():
        seeds = span(few["n"])
        said = f"Exploratory: {seeds} seed{'s' * (seeds != '1')} in common; an accuracy verdict needs at least 6. "
        yield (said, "Run again with --seeds 6; recorded seeds are kept.")


def mismatches(study: Study) -> Iterator[Phrase]:
    """The results in this report that are not compared, because they were measured under different conditions."""
    others = [v.name for v in study.variants if not v.is_baseline and not v.origin]
    base = seed_records(study, study.baseline)
    seeds: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    for name in others:
        _, reasons = comparable_seeds(study, base, seed_records(study, name))
        for why in dict.fromkeys(reasons.values()):
            seeds.setdefault((why, tuple(s for s in reasons if reasons[s] == why)), []).append(name)
    for (why, of), who in seeds.items():
        which = f"seed{'s' * (len(of) > 1)} {', '.join(map(str, of))}"
        yield (f"Left out of the accuracy comparisons: {which} of ", *names(who), f" (not compared: {why}).")
    for kind, quantity in QUANTITIES.items():
        reference = source_record(study, kind, study.baseline)
        apart: dict[str, list[str]] = {}
        for name in others:
            record = source_record(study, kind, name)
            if reference and record and (why := mismatch_reason(study, record, reference)):
                apart.setdefault(why, []).append(name)
        for why, who in apart.items():
            yield (f"{quantity} of ", *names(who), f" is not comparable with the baseline's: {why}.")


def timing_caveats(study: Study) -> Iterator[Phrase]:
    """Interference between variants, and stalled calls; neither changes a verdict."""
    for kind in TIMED.values():
        found = next(study.sessions(kind), {})
        baseline = found.get(study.baseline)
        control = study.control(kind, baseline.session) if baseline is not None else None
        if baseline is None or control is None:
            continue
        for name, record in found.items():
            effect = None if name == study.baseline else order_effect(record, baseline, control)
            if effect is not None:
                ends = f"{effect.value:.3f} [{effect.low:.3f}, {effect.high:.3f}]"
                said = f" differs by a factor of {ends} (99%) between the mirrored passes: it depends on the order."
                yield (f"Interference between variants: the {TIMINGS[kind]} ratio of ", Name(name), said)
            count, longest = stats.stalls(blocks(record))
            if count:
                calls = (
                    f"{count} of {blocks(record).size} calls ({TIMINGS[kind]}) took over {STALL:g} times the median, "
                )
                yield ("Stalls: of ", Name(name), f", {calls}up to {longest:.3g} s; medians are not affected.")


def _unfinished(study: Study) -> Iterator[Phrase]:
    """Whether accuracy trials are missing."""
    seeds = study.plan.get("seeds") or 0
    each = seeds if isinstance(seeds, int) else len(seeds)
    tuned = (study.plan.get("tuning") or {}).get("of") or {}
    own = {v.name for v in study.variants if not v.origin}
    trained = [v.name for v in study.variants if v.name in own and v.reason is None]
    planned = each * (len(trained) + sum(name in tuned for name in trained))
    tried = (r for which in (False, True) for r in study.of("accuracy", ok=False, tuned=which))
    recorded = sum(r.variant in own for r in tried)
    if recorded < planned:
        yield (f"Not finished: {recorded} of {planned} accuracy trials are recorded. Run the same command to resume.",)


def _counting(study: Study) -> Iterator[Phrase]:
    """Incomplete counts, and the findings of the counters."""
    records = study.of("cost")
    incomplete = [record.variant for record in records if record.values.get("complete") is False]
    if incomplete:
        yield ("The count of MACs is incomplete for ", *names(incomplete), "; see the methods below.")
    findings: dict[str, list[str]] = {}
    for record in records:
        for finding in dict.fromkeys(record.values.get("findings") or []):
            findings.setdefault(finding, []).append(record.variant)
    for finding, who in findings.items():
        yield ("Counting: ", finding, " (", Name(", ".join(first(who))), ").")
