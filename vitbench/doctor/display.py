"""The results of the doctor, as text and as JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vitbench.doctor.advice import Advice
from vitbench.records.identity import plain

if TYPE_CHECKING:
    from vitbench.doctor.readings import Activity, Clock, System
    from vitbench.doctor.self_check import Effect, FalseClaims
    from vitbench.measure.roofline.ceilings import Ceiling, Ceilings

UNKNOWN = "not available"
TARGET = 0.10
"""The largest acceptable share of false claims (docs/why-believe-these-numbers.md, row 1)."""

Rows = Iterator[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Checkup:
    """All results; the field names are those of the JSON."""

    code: Mapping[str, Any]
    environment: Mapping[str, Any]  # as in records
    torch_threads: int
    device: str
    allocator: str
    load: float
    clock: Clock
    system: System
    asleep: Activity
    timing: Activity
    false_claims: FalseClaims
    smallest_effect: Effect
    ceilings: list[Ceilings]
    energy: str  # the counter, or why there is none
    advice: list[Advice]
    seconds: float

    @property
    def held(self) -> bool:
        """Whether the share of false claims is within the target."""
        return self.false_claims.claims <= TARGET * self.false_claims.n


def as_json(found: Checkup) -> dict[str, Any]:
    """All results in plain values; shares are 0 to 1, units are seconds, FLOP/s and byte/s."""
    body = dataclasses.asdict(found)
    body["grade"] = found.false_claims.grade
    body["false_claims"] |= {"rate": found.false_claims.rate, "target": TARGET, "held": found.held}
    body["ceilings"] = [dict(zip(("values", "samples"), each.record(), strict=True)) for each in found.ceilings]
    plain_body: dict[str, Any] = plain(body)
    return plain_body


def as_text(found: Checkup) -> str:
    """All results for people: the summary, one section per subject, the advice."""
    matmul = next((each.matmul for each in found.ceilings if each.matmul is not None), None)
    windows = f", 95% intervals over {len(matmul.rates)} windows" if matmul else ""
    threads = _count(found.ceilings[0].threads, "thread")
    sections = {
        "Versions": [*_versions(found)],
        "Machine": [*_machine(found)],
        "Current load": [*_load(found)],
        "Self-check": [*_claims(found), _effect(found.smallest_effect)],
        f"Ceilings ({found.device}, {threads}{windows})": [*_ceilings(found.ceilings)],
    }
    width = max(len(name) for rows in sections.values() for name, _ in rows)
    lines = [f"Summary: {summary(found)}", ""]
    for title, rows in sections.items():
        lines += [title, *(f"  {name:{width}}  {value}" for name, value in rows), ""]
    lines += ["Advice", *([f"  - {each}" for each in found.advice] or ["  none: no problem was found"]), ""]
    return "\n".join([*lines, f"Took {found.seconds:.0f} s."])


def summary(found: Checkup) -> str:
    """One sentence: whether to measure on this machine now."""
    effect, grade = found.smallest_effect, found.false_claims.grade
    if not found.held:
        return f"do not trust any difference measured on this machine now (noise grade {grade})."
    known = not math.isnan(effect.share)
    detects = f"; a session of {effect.seconds:.0f} s detects {100 * effect.share:.1f}% or more" if known else ""
    busy = "; absolute latencies are withheld because the machine is too busy" if grade == "D" else ""
    return f"differences measured on this machine now can be trusted{detects}{busy} (noise grade {grade})."


def _versions(found: Checkup) -> Rows:
    commit, changes = found.code.get("commit"), " with changes" * bool(found.code.get("dirty"))
    yield "vitbench", f"{found.code.get('vitbench')}" + (f", commit {commit[:12]}{changes}" if commit else "")
    yield "Python", f"{found.environment['python']} on {found.environment['system']}"
    yield "packages", ", ".join(f"{name} {version}" for name, version in found.environment["packages"].items())


def _machine(found: Checkup) -> Rows:
    cpu, system, clock, torch = found.environment["cpu"], found.system, found.clock, found.environment["torch"]
    yield "processor", f"{cpu['model']}, {_count(cpu['cores'], 'core')}, torch uses {torch['cpu_capability']}"
    if gpu := torch.get("gpu"):
        yield "GPU", gpu["name"]
    allowed = cpu["affinity"] if isinstance(cpu["affinity"], str) else ", ".join(map(str, cpu["affinity"]))
    quota = "" if system.quota_cores is None else f"; the container may use {system.quota_cores:g} of them"
    yield "affinity", f"cores {allowed}{quota}"
    variables = ", ".join(f"{name}={value}" for name, value in system.variables.items()) or "no variables set"
    yield "threads", f"torch {found.torch_threads} ({variables})"
    yield "hypervisor", str(cpu["hypervisor"])
    yield "governor", system.governor or UNKNOWN
    speed = f"smallest step {1e9 * clock.step_s:.0f} ns, one reading takes {1e9 * clock.cost_s:.0f} ns"
    yield "clock", f"{clock.call}, source {clock.source or UNKNOWN}; {speed}"
    pages = f"; huge pages {system.huge_pages}" if system.huge_pages else ""
    yield "allocator", f"{system.allocator}, settings: {found.allocator}{pages}"
    yield "memory", f"{cpu['memory_mib']} MiB, {100 * system.memory_available:.0f}% available"
    yield "energy", found.energy


def _load(found: Checkup) -> Rows:
    yield "load", f"{found.load:.2f} at the start"
    asleep, timing = _percent(found.asleep.pressure), _percent(found.timing.pressure)
    yield "CPU pressure", f"{asleep} while this process slept, {timing} while it timed"
    yield "steal", _percent(found.timing.steal)
    yield "noise grade", found.false_claims.grade
    for process in found.asleep.others[:3]:
        yield "other process", f"{process.name} (pid {process.pid}), {100 * process.share:.0f}% of a core"


def _claims(found: Checkup) -> Rows:
    claims = found.false_claims
    rate, low, high = (100 * share for share in (claims.rate, claims.interval.low, claims.interval.high))
    wrong = f"{claims.claims} of {claims.n} comparisons of a model with itself claimed a difference"
    yield "false claims", f"{wrong}: {rate:.1f}% [{low:.1f}, {high:.1f}], in {claims.seconds:.0f} s"
    yield "", f"target: at most {100 * TARGET:.0f}%, {'reached' if found.held else 'MISSED'}"
    if claims.invalid:
        yield "", f"{claims.invalid} more gave no verdict because their A/A control failed"


def _effect(effect: Effect) -> tuple[str, str]:
    if math.isnan(effect.share):
        return "smallest effect", "not measured: fewer than two blocks fitted into the budget"
    model = "a ViT of about 7 ms" if effect.grade == "D" else f"a ViT that takes {effect.latency_ms:.1f} ms here"
    how = f"{effect.blocks} blocks, 80% power; grade {effect.grade}; no interval"
    control = "" if effect.valid else "; the A/A control FAILED, so a session now would give no verdict"
    return "smallest effect", f"{100 * effect.share:.1f}% in {effect.seconds:.0f} s on {model} ({how}){control}"


def _ceilings(ceilings: list[Ceilings]) -> Rows:
    def missing(each: Ceilings, name: str) -> str:
        return f"not measured: {each.reasons[name]}"

    for each in ceilings:
        matmul = each.matmul
        value = matmul and f"{_rate(matmul, 'GFLOP/s')}, matrices of {matmul.size}×{matmul.size}"
        yield f"{each.dtype}{' (TF32)' * each.tf32}", value or missing(each, "matmul")
    first, copied, launched = ceilings[0], ceilings[0].copy, ceilings[0].start
    note = f"; {copied.note}" if copied and copied.note else ""
    value = copied and f"{_rate(copied, 'GB/s')}, reads plus writes, buffers of {copied.size / 2**20:.0f} MiB{note}"
    yield "memory bandwidth", value or missing(first, "copy")
    value = launched and f"{1e6 / launched.interval.value:.3g} µs per operator, mean over a ViT that computes nothing"
    yield "launch overhead", value or missing(first, "start")


def _rate(ceiling: Ceiling, unit: str) -> str:
    """The mean and its interval, in a unit of 10⁹ per second."""
    found = ceiling.interval
    value, low, high = (f"{float(f'{x / 1e9:.3g}'):g}" for x in (found.value, found.low, found.high))
    return f"{value} {unit} [{low}, {high}]"


def _percent(share: float | None) -> str:
    return UNKNOWN if share is None else f"{100 * share:.1f}%"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
