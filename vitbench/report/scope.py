"""The small print: scope, methods, settings, environment, how to reproduce. All of it from the records."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from vitbench.report import timing
from vitbench.report.phrases import Name, Phrase, first, names, span
from vitbench.tables.comparable import behind, like_seeds, seed_records, why_unlike
from vitbench.tables.compare import noise_floor
from vitbench.tables.study import Study

LONG = 300  # characters: a longer value (torch's build flags) is cut


def summary(study: Study) -> list[str]:
    """The paragraphs of the ablation file's docstring, without the question repeated and without the command."""
    text = inspect.cleandoc(str(study.plan.get("summary") or ""))
    parts = [
        part
        for part in text.split("\n\n")
        if not part.startswith("    ") and part.strip() != study.plan.get("question")
    ]
    return [" ".join(part.split()) for part in parts if part.strip()]


def caveats(study: Study, compared: pd.DataFrame) -> list[Phrase]:
    """What a reader must know before believing the answer."""
    found: list[Phrase] = []
    if "invalid" in set(compared["kind"]):
        noise = noise_floor(study)
        seen = f" (ratio {noise.value:.3f} [{noise.low:.3f}, {noise.high:.3f}])" if noise else ""
        cause = f"INVALID timing: the session finds a difference between the baseline and its own clone{seen}, so its "
        found.append((cause, "ratios cannot be trusted. Run again on a quieter machine."))
    few = compared[(compared["metric"] == "accuracy") & (compared["kind"] == "exploratory")]
    if len(few) and few["n"].max() == compared["n"][compared["metric"] == "accuracy"].max():
        share = (
            f"{span(few['n'])} seed{'s' * (span(few['n']) != '1')} in common; an accuracy verdict takes at least 6. "
        )
        found.append(("Exploratory: ", share, "Run again with --seeds 6: what is recorded is kept."))
    found += [(remark,) for remark in study.remarks]
    found += unlike(study)
    found += timing.caveats(study)
    found += _unfinished(study)
    incomplete = [r.variant for r in study.of("cost") if r.values.get("complete") is False]
    if incomplete:
        found.append(("The count of MACs is incomplete for ", *names(incomplete), ": see the methods below."))
    findings: dict[str, list[str]] = {}
    for record in study.of("cost"):
        for finding in dict.fromkeys(record.values.get("findings") or []):
            findings.setdefault(finding, []).append(record.variant)
    found += [("Counting: ", finding, " (", Name(", ".join(first(who))), ").") for finding, who in findings.items()]
    return found


SIDE_BY_SIDE = {
    "latency": "Latency",
    "train_step": "The training step",
    "throughput": "Throughput",
    "memory": "Memory",
    "cost": "What was counted",
}


def unlike(study: Study) -> Iterator[Phrase]:
    """What stands in this report and is not compared, since it was measured under unlike conditions."""
    others = [v.name for v in study.variants if not v.is_baseline and not v.origin]
    base = seed_records(study, study.baseline)
    seeds: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    for name in others:
        _, reasons = like_seeds(study, base, seed_records(study, name))
        for why in dict.fromkeys(reasons.values()):
            seeds.setdefault((why, tuple(s for s in reasons if reasons[s] == why)), []).append(name)
    for (why, of), who in seeds.items():
        which = f"seed{'s' * (len(of) > 1)} {', '.join(map(str, of))}"
        yield (f"Left out of the comparisons of accuracy: {which} of ", *names(who), f" (not compared: {why}).")
    for kind, what in SIDE_BY_SIDE.items():
        reference = behind(study, kind, study.baseline)
        apart: dict[str, list[str]] = {}
        for name in others:
            record = behind(study, kind, name)
            if reference and record and (why := why_unlike(study, record, reference)):
                apart.setdefault(why, []).append(name)
        for why, who in apart.items():
            yield (f"{what} of ", *names(who), f" is not to be set against the baseline's: {why}.")


def _unfinished(study: Study) -> list[Phrase]:
    """Whether trials are still to come."""
    seeds = study.plan.get("seeds") or 0
    each = seeds if isinstance(seeds, int) else len(seeds)
    tuned = (study.plan.get("tuning") or {}).get("of") or {}
    own = {v.name for v in study.variants if not v.origin}
    planned = sum((v.reason is None) + (v.reason is None and v.name in tuned) for v in study.variants if v.name in own)
    planned *= each
    tried = (r for which in (False, True) for r in study.of("accuracy", ok=False, tuned=which))
    recorded = sum(r.variant in own for r in tried)
    if recorded >= planned:
        return []
    return [
        (f"Not finished: {recorded} of {planned} accuracy trials are recorded; the same command goes on from here.",)
    ]


SPLIT = (
    "The split belongs to the data set and does not change with the seed. A seed draws initial weights, data order and "
    "augmentation; intervals speak about these draws, not about other splits or other data."
)


_ALL = "latency, training step, throughput, memory"
MEASURED_UNDER: Mapping[str, tuple[str, str]] = {
    "dtype": ("Data type", _ALL),
    "batch_size": ("Batch size", _ALL),
    "threads": ("Threads", _ALL),
    "compile": ("Compiled", "latency, training step, throughput"),
    "channels_last": ("Channels last", "latency, training step, throughput"),
    "checkpoint_activations": ("Activations recomputed", "training step, memory of training"),
}
"""Measurement setting → its name, and what depends on it. One that is off is not named, unless an axis varies it."""


def scope(study: Study) -> list[tuple[str, str]]:
    """To what the numbers apply."""
    data: Mapping[str, Any] = study.plan.get("data") or {}
    measure: Mapping[str, Any] = study.settings.get("measure") or {}
    rows = []
    if data:
        counts = ", ".join(f"{_n(data[f'num_{part}'])} {part}" for part in ("train", "val", "test"))
        size = f"{data['img_size']}×{data['img_size']} px, channels: {data['in_chans']}, classes: {data['num_classes']}"
        rows.append(("Data", f"{data['name']}, version {data['version']}; images: {counts}; {size}{_part(study)}"))
        rows.append(("Chance", f"{100 * data['chance']:.3g}% of the test split, by naming its most frequent class"))
    rows.append(("Split and seeds", SPLIT))
    rows.append(("Device", f"{study.settings.get('device', 'unknown')}{_machine(study)}"))
    axes = study.plan.get("axes") or {}
    for field, (title, where) in MEASURED_UNDER.items():
        varies = f"measure.{field}" in axes
        if field in measure and (varies or measure[field] is not False):
            rows.append((title, f"{measure[field]}{', varied by an axis' if varies else ''} ({where})"))
    return [*rows, *_taken_over(study), *_waiting(study), *timing.session(study)]


def _part(study: Study) -> str:
    """How many of the training images were used, where it is not all of them."""
    sizes = {v.images for v in study.variants if v.images is not None}
    whole = (study.plan.get("data") or {}).get("num_train")
    return f"; trained on {span(sizes)} of them" if sizes - {whole} else ""


def _taken_over(study: Study) -> Iterator[tuple[str, str]]:
    """What was measured for another ablation, and where."""
    found: dict[str, dict[str, set[str]]] = {}
    for record in study.records:
        if record.source:
            found.setdefault(record.source, {}).setdefault(record.kind, set()).add(record.id)
    for source, kinds in found.items():
        amounts = ", ".join(f"{kind}: {_n(len(ids))}" for kind, ids in kinds.items())
        yield "Taken over", f"{amounts}, measured for the results folder {source} that lay beside this one"


def _waiting(study: Study) -> Iterator[tuple[str, str]]:
    """How long training waited for images, where the trials noted it."""
    seen = [r.values.get("wait_share") for r in study.of("accuracy")]
    shares = [100 * float(share) for share in seen if share is not None]
    if shares:
        mean = f"{sum(shares) / len(shares):.1f}% of the training time, mean over {len(shares)} trials"
        yield "Waiting for data", f"{mean}; {max(shares):.1f}% in the one that waited most (no interval)"


def _n(number: int) -> str:
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _machine(study: Study) -> str:
    names_ = []
    for body in study.environments.values():
        gpu = ((body.get("torch") or {}).get("gpu") or {}).get("name")
        cpu = (body.get("cpu") or {}).get("model")
        names_.append(str(gpu if study.settings.get("device") == "cuda" and gpu else cpu or ""))
    known = list(dict.fromkeys(filter(None, names_)))
    return f", {'; '.join(known)}" if known else ""


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as dotted names and short texts."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            text = (
                ", ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)
            )
            text = " ".join(text.split())
            yield f"{prefix}{key}", text if len(text) <= LONG else text[:LONG] + " …"


def settings(study: Study) -> list[tuple[str, str]]:
    """Everything that the records share; what an axis varies stands in the table."""
    kept = {room: value for room, value in study.settings.items() if value is not None}
    return [*flat(kept), *flat({"margins": study.plan.get("margins") or {}})]


def environments(study: Study) -> list[list[tuple[str, str]]]:
    """Each machine and set of versions that contributed."""
    used = {r.environment for r in study.records}
    return [list(flat(body)) for key, body in study.environments.items() if key in used]


def _folders(study: Study) -> str:
    """What stands for the folders on a command line."""
    mixed = any(v.origin for v in study.variants)
    return " ".join(["DIR"] * len(study.folders) + ["--allow-mixed"] * mixed)


def commands(study: Study) -> list[tuple[str, str]]:
    """What to type: to run it again, and to render this report again."""
    version = study.code.get("vitbench")
    commit, dirty = study.code.get("commit"), study.code.get("dirty")
    at = f"commit {str(commit)[:12]}{' with uncommitted changes' if dirty else ''}" if commit else "no commit known"
    return [
        ("Run it again", str(study.plan.get("command") or f"python -m vitbench.ablate {study.ablation}")),
        ("Render this report from its records", f"python -m vitbench.report {_folders(study)}"),
        ("Written by", f"vitbench {version} ({at})" if version else at),
    ]
