"""The small print of the joint timing, and what may be wrong with it; all of it again from the raw calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vitbench import stats
from vitbench.records.record import Record
from vitbench.report.phrases import Name, Phrase
from vitbench.stats.stability import STALL
from vitbench.tables.compare import TIMED, noise_floor
from vitbench.tables.frames import grade_of
from vitbench.tables.study import Study
from vitbench.tables.timings import blocks, level_of, order_effect, process_sizes, unit, watched

PLACEMENTS = {
    "own": "own: every block rebuilds each model at a fresh place in memory",
    "shared": "shared: every block rebuilds all models, with parameters of one shape at one and the same fresh place",
}
WORDS = {"latency": "latency", "train_step": "training step"}


def session(study: Study) -> Iterator[tuple[str, str]]:
    """The joint timing that decides: size, stopping, placement, control, how busy the machine was."""
    found = next(study.sessions("latency"), None)
    if found is None:
        return
    record = next(iter(found.values()))
    control = study.control("latency", record.session)
    values: Mapping[str, object] = control.values if control is not None else {}
    yield "Timing session", _amount(found, record, control)
    yield "Placement", PLACEMENTS[str(values.get("placement", "own"))]
    if "allocator" in values:
        yield "Allocator", f"{values['allocator']} (of the C library, in the timing process)"
    noise = noise_floor(study)
    if noise is None:
        yield "A/A control", "none was recorded: no verdict on latency"
    else:
        holds = "FAILED" if noise.excludes(1) else "holds"
        units = f"{unit(record)}{'es' * (unit(record) == 'process') or 's'}"
        seen = f"{noise.value:.3f} [{noise.low:.3f}, {noise.high:.3f}] of the baseline (99%, {noise.n} {units})"
        floor = f"noise floor ±{50 * (noise.high - noise.low):.1f}%"
        yield "A/A control", f"{holds}: the baseline's clone ran at {seen}; {floor}"
    pressure = [p for p in (control.values.get("pressure") or []) if p is not None] if control else []
    if pressure:
        share = f"{100 * stats.mean_interval(pressure).value:.0f}%"
        yield "Pressure", f"{share} of the time some task waited for a core (mean over blocks, no interval)"
    if watched(control):
        grade = grade_of(study, record)
        yield "Noise grade", grade + "; absolute latencies are withheld, ratios stand" * (grade == "D")


def _amount(found: Mapping[str, Record], record: Record, control: Record | None) -> str:
    """How much was timed, and why it ended."""
    calls = blocks(record)
    sizes = process_sizes(record)
    where = "one process" if sizes is None else f"{len(sizes)} processes, one after another, each of them a unit"
    together = f"{len(found)} variants and a clone of the baseline, interleaved in {where}"
    numbers = str(len(calls)) if sizes is None else ", ".join(map(str, sizes))
    amount = f"{together}: {numbers} blocks of {calls.shape[1] // 2} mirrored cycles"
    if control is None or not watched(control):
        return amount
    if sizes is None:
        looks = ", ".join(map(str, control.values["looks"]))
        amount += f"; widths looked at after {looks} blocks" if looks else "; widths not looked at"
        level = level_of(control)
        nominal = f"; intervals are nominally of {100 * level:g}%, which is 95% after these looks" if looks else ""
        return f"{amount}; {control.values['stop_reason']}{nominal}"
    reasons = control.values["stop_reason"]
    return f"{amount}; {reasons if isinstance(reasons, str) else ', '.join(reasons)}"


def caveats(study: Study) -> Iterator[Phrase]:
    """Calls that disturb each other, and calls that stood still: neither changes a verdict, both should be known."""
    for kind in TIMED.values():
        found = next(study.sessions(kind), {})
        baseline = found.get(study.baseline)
        control = study.control(kind, baseline.session) if baseline is not None else None
        if baseline is None or not watched(control):
            continue
        for name, record in found.items():
            effect = None if name == study.baseline else order_effect(record, baseline, control)
            if effect is not None:
                bounds = f"{effect.value:.3f} [{effect.low:.3f}, {effect.high:.3f}]"
                what = f" has a {WORDS[kind]} whose ratio differs by a factor of {bounds} (99%) in the mirrored passes"
                yield ("Cache interference: ", Name(name), f"{what}: how its calls run depends on who ran before.")
            count, longest = stats.stalls(blocks(record))
            if count:
                calls = f"{count} of {blocks(record).size} calls ({WORDS[kind]}) took over {STALL:g} times the "
                yield ("Stalls: of ", Name(name), f", {calls}median, up to {longest:.3g} s; medians do not show them.")
