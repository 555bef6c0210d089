"""The scope of a report: data, device, settings, timing session, environment, and how to reproduce it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vitbench import stats
from vitbench.records.record import Record
from vitbench.report.elements import PLURAL, counted, span
from vitbench.tables.compare import noise_floor
from vitbench.tables.frames import grade_of
from vitbench.tables.study import Study
from vitbench.tables.timing_units import blocks, level_of, process_sizes, unit

LONG = 300  # characters; a longer value, such as torch's build flags, is cut

SPLIT = (
    "The split belongs to the data set and does not change with the seed. A seed draws initial weights, data order and "
    "augmentation; intervals are about these draws, not about other splits or other data."
)

TIMED = "latency, training step, throughput"
MEASURED_UNDER: Mapping[str, tuple[str, str]] = {
    "dtype": ("Data type", f"{TIMED}, memory"),
    "batch_size": ("Batch size", f"{TIMED}, memory"),
    "threads": ("Threads", f"{TIMED}, memory"),
    "compile": ("Compiled", TIMED),
    "channels_last": ("Channels last", TIMED),
    "checkpoint_activations": ("Activation checkpointing", "training step, training memory"),
}
"""Measurement setting → its name, and what depends on it; an option that is off is listed only if it is varied."""

PLACEMENTS = {
    "own": "own: every block rebuilds each model at a fresh place in memory",
    "shared": "shared: every block rebuilds all models, and parameters of one shape share one fresh place in memory",
}


def summary(study: Study) -> list[str]:
    """The paragraphs of the ablation file's docstring, without the question and the command."""
    text = inspect.cleandoc(str(study.plan.get("summary") or ""))
    parts = [part for part in text.split("\n\n") if not part.startswith("    ")]
    return [" ".join(part.split()) for part in parts if part.strip() not in {"", study.plan.get("question")}]


def scope(study: Study) -> list[tuple[str, str]]:
    """What the numbers apply to."""
    data: Mapping[str, Any] = study.plan.get("data") or {}
    measure: Mapping[str, Any] = study.settings.get("measure") or {}
    rows = []
    if data:
        counts = ", ".join(f"{counted(data[f'num_{part}'])} {part}" for part in ("train", "val", "test"))
        size = f"{data['img_size']}×{data['img_size']} px, channels: {data['in_chans']}, classes: {data['num_classes']}"
        rows.append(("Data", f"{data['name']}, version {data['version']}; images: {counts}; {size}{_part(study)}"))
        rows.append(
            ("Chance", f"{100 * data['chance']:.3g}% of the test split, by always predicting its largest class")
        )
    rows.append(("Split and seeds", SPLIT))
    rows.append(("Device", f"{study.settings.get('device', 'unknown')}{_machine(study)}"))
    axes = study.plan.get("axes") or {}
    for field, (title, where) in MEASURED_UNDER.items():
        varies = f"measure.{field}" in axes
        if field in measure and (varies or measure[field] is not False):
            rows.append((title, f"{measure[field]}{', varied by an axis' if varies else ''} ({where})"))
    return [*rows, *_reused(study), *_waiting(study), *_session(study)]


def _part(study: Study) -> str:
    """How many of the training images were used, where it is not all of them."""
    sizes = {v.images for v in study.variants if v.images is not None}
    whole = (study.plan.get("data") or {}).get("num_train")
    return f"; trained on {span(sizes)} of them" if sizes - {whole} else ""


def _machine(study: Study) -> str:
    """The processors of all environments."""
    found = []
    for body in study.environments.values():
        gpu = ((body.get("torch") or {}).get("gpu") or {}).get("name")
        cpu = (body.get("cpu") or {}).get("model")
        found.append(str(gpu if study.settings.get("device") == "cuda" and gpu else cpu or ""))
    known = list(dict.fromkeys(filter(None, found)))
    return f", {'; '.join(known)}" if known else ""


def _reused(study: Study) -> Iterator[tuple[str, str]]:
    """What was measured for another ablation, and where."""
    found: dict[str, dict[str, set[str]]] = {}
    for record in study.records:
        if record.source:
            found.setdefault(record.source, {}).setdefault(record.kind, set()).add(record.id)
    for source, kinds in found.items():
        amounts = ", ".join(f"{kind}: {counted(len(ids))}" for kind, ids in kinds.items())
        yield "Reused", f"{amounts}, measured for the results folder {source} beside this one"


def _waiting(study: Study) -> Iterator[tuple[str, str]]:
    """How long training waited for images."""
    seen = [record.values.get("wait_share") for record in study.of("accuracy")]
    shares = [100 * float(share) for share in seen if share is not None]
    if shares:
        mean = f"{sum(shares) / len(shares):.1f}% of the training time, mean over {len(shares)} trials"
        yield "Waiting for data", f"{mean}; at most {max(shares):.1f}% (no interval)"


def _session(study: Study) -> Iterator[tuple[str, str]]:
    """The joint timing: size, stopping, placement, control, and how busy the machine was."""
    found = next(study.sessions("latency"), None)
    if found is None:
        return
    record = next(iter(found.values()))
    control = study.control("latency", record.session)
    values: Mapping[str, Any] = control.values if control is not None else {}
    yield "Timing session", _amount(found, record, control)
    yield "Placement", PLACEMENTS[str(values.get("placement", "own"))]
    if "allocator" in values:
        yield "Allocator", f"{values['allocator']} (of the C library, in the timing process)"
    noise = noise_floor(study)
    if noise is None:
        yield "A/A control", "none was recorded: no verdict on latency"
    else:
        outcome = "FAILED" if noise.excludes(1) else "passed"
        seen = f"{noise.value:.3f} [{noise.low:.3f}, {noise.high:.3f}] times the baseline's latency"
        seen = f"the baseline's clone took {seen} (99%, {noise.n} {PLURAL[unit(record)]})"
        yield "A/A control", f"{outcome}: {seen}; noise floor ±{50 * (noise.high - noise.low):.1f}%"
    pressure = [share for share in values.get("pressure") or [] if share is not None]
    if pressure:
        share = f"{100 * stats.mean_interval(pressure).value:.0f}%"
        yield "Pressure", f"{share} of the time some task waited for a core (mean over blocks, no interval)"
    if control is not None:
        grade = grade_of(study, record)
        yield "Noise grade", grade + "; absolute latencies are withheld, ratios are valid" * (grade == "D")


def _amount(found: Mapping[str, Record], record: Record, control: Record | None) -> str:
    """How much was timed, and why the session ended."""
    calls, sizes = blocks(record), process_sizes(record)
    where = "one process" if sizes is None else f"{len(sizes)} processes, one after another, each of them a unit"
    numbers = str(len(calls)) if sizes is None else ", ".join(map(str, sizes))
    amount = (
        f"{len(found)} variants and a clone of the baseline, interleaved in {where}: {numbers} blocks of "
        f"{calls.shape[1] // 2} mirrored cycles"
    )
    if control is None:
        return amount
    reason = control.values["stop_reason"]
    if sizes is not None:
        return f"{amount}; {reason if isinstance(reason, str) else ', '.join(reason)}"
    looks = ", ".join(map(str, control.values["looks"]))
    if not looks:
        return f"{amount}; no interim looks; {reason}"
    nominal = f"intervals have the nominal level {100 * level_of(control):g}%, which is 95% after these looks"
    return f"{amount}; interim looks after {looks} blocks; {reason}; {nominal}"


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as dotted names and short texts."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            several = isinstance(value, Sequence) and not isinstance(value, str)
            text = " ".join((", ".join(map(str, value)) if several else str(value)).split())
            yield f"{prefix}{key}", text if len(text) <= LONG else text[:LONG] + " …"


def settings(study: Study) -> list[tuple[str, str]]:
    """The settings that all variants share; the results table has those that an axis varies."""
    kept = {part: value for part, value in study.settings.items() if value is not None}
    return [*flat(kept), *flat({"margins": study.plan.get("margins") or {}})]


def environments(study: Study) -> list[list[tuple[str, str]]]:
    """Each machine and set of versions that contributed."""
    used = {record.environment for record in study.records}
    return [list(flat(body)) for key, body in study.environments.items() if key in used]


def commands(study: Study) -> list[tuple[str, str]]:
    """The commands that run the ablation and render the report again, and the version that wrote the records."""
    version, commit, dirty = (study.code.get(key) for key in ("vitbench", "commit", "dirty"))
    at = f"commit {str(commit)[:12]}{' with uncommitted changes' if dirty else ''}" if commit else "no commit known"
    mixed = any(v.origin for v in study.variants)
    folders = " ".join(["DIR"] * len(study.folders) + ["--allow-mixed"] * mixed)
    return [
        ("Run it again", str(study.plan.get("command") or f"python -m vitbench.ablate {study.ablation}")),
        ("Render this report from its records", f"python -m vitbench.report {folders}"),
        ("Written by", f"vitbench {version} ({at})" if version else at),
    ]
