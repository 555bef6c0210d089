"""What the doctor found, as text and as JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vitbench.doctor.advice import Advice
from vitbench.doctor.readings import Clock, System
from vitbench.records.identity import plain

if TYPE_CHECKING:
    from vitbench.doctor.live_checks import Effect, Window
    from vitbench.doctor.self_check import SelfCheck
    from vitbench.measure.roofline.ceilings import Ceiling, Ceilings

UNKNOWN = "not available"
TARGET = 0.10
"""False claims, at most, of all comparisons (docs/why-believe-these-numbers.md, 1)."""


@dataclass(frozen=True, kw_only=True)
class Checkup:
    """Everything that was found out."""

    environment: Mapping[str, Any]  # as records keep it
    code: Mapping[str, Any]
    torch_threads: int
    device: str
    allocator: str
    load: float | None
    clock: Clock
    system: System
    asleep: Window
    timing: Window
    claims: SelfCheck
    effect: Effect
    ceilings: list[Ceilings]
    energy: str  # the counter, or why there is none
    advice: list[Advice]
    seconds: float

    @property
    def held(self) -> bool:
        """Whether no more false claims were made than the target allows."""
        return self.claims.claims <= TARGET * self.claims.n


def as_json(found: Checkup) -> dict[str, Any]:
    """Everything, in plain values; shares 0 to 1, seconds, FLOP/s, byte/s."""
    claims = {**dataclasses.asdict(found.claims), "rate": found.claims.rate, "target": TARGET, "held": found.held}
    body = {
        "code": dict(found.code),
        "environment": dict(found.environment),
        "torch_threads": found.torch_threads,
        "device": found.device,
        "allocator": found.allocator,
        "load": found.load,
        "clock": dataclasses.asdict(found.clock),
        "system": {**dataclasses.asdict(found.system), "variables": dict(found.system.variables)},
        "asleep": dataclasses.asdict(found.asleep),
        "timing": dataclasses.asdict(found.timing),
        "grade": found.claims.grade,
        "false_claims": claims,
        "smallest_effect": dataclasses.asdict(found.effect),
        "ceilings": [dict(zip(("values", "samples"), each.record(), strict=True)) for each in found.ceilings],
        "energy": found.energy,
        "advice": [dataclasses.asdict(each) for each in found.advice],
        "seconds": found.seconds,
    }
    plain_body: dict[str, Any] = plain(body)
    return plain_body


def as_text(found: Checkup) -> str:
    """The same for readers."""
    parts: list[tuple[str, list[tuple[str, str]]]] = [
        ("Versions", list(_versions(found))),
        ("Machine", list(_machine(found))),
        ("Right now", list(_now(found))),
        ("What the harness shows here", [*_claims(found), _effect(found.effect)]),
        (f"Ceilings ({found.device}, {_threads(found)})", list(_ceilings(found.ceilings))),
    ]
    wide = max(len(name) for _, rows in parts for name, _ in rows)
    lines = []
    for title, rows in parts:
        lines += [title, *(f"  {name:{wide}}  {value}" for name, value in rows), ""]
    lines = [in_short(found), "", *lines]
    advice = [f"  - {each}" for each in found.advice] or ["  nothing: no reason for it was seen"]
    return "\n".join([*lines, "What to change for better numbers", *advice, "", f"{found.seconds:.0f} s in all"])


def in_short(found: Checkup) -> str:
    """Whether to measure here now, in one sentence."""
    if not found.held:
        return "In short: no difference that is measured here now can be believed."
    smallest = found.effect.share
    effect = "" if math.isnan(smallest) else f"; {found.effect.seconds:.0f} s show one of {100 * smallest:.1f}% or more"
    grade = found.claims.grade
    absolute = "; absolute latencies are withheld, the machine is too busy" if grade == "D" else ""
    return f"In short: differences that are found here now can be believed{effect}{absolute} (noise grade {grade})."


def _versions(found: Checkup) -> Iterator[tuple[str, str]]:
    commit = found.code.get("commit")
    at = f", commit {commit[:12]}{' with changes' if found.code.get('dirty') else ''}" if commit else ""
    yield "vitbench", f"{found.code.get('vitbench')}{at}"
    yield "python", f"{found.environment['python']} on {found.environment['system']}"
    packages = found.environment["packages"]
    yield "packages", ", ".join(f"{name} {version}" for name, version in packages.items())


def _machine(found: Checkup) -> Iterator[tuple[str, str]]:
    cpu, system, clock = found.environment["cpu"], found.system, found.clock
    capability = found.environment["torch"].get("cpu_capability")
    yield "processor", f"{cpu['model']}, {cpu['cores']} cores" + (f", torch uses {capability}" if capability else "")
    gpu = (found.environment["torch"].get("gpu") or {}).get("name")
    if gpu:
        yield "GPU", gpu
    allowed = cpu["affinity"] if isinstance(cpu["affinity"], str) else ", ".join(map(str, cpu["affinity"]))
    quota = "" if system.quota_cores is None else f"; the container may use {system.quota_cores:g} of them"
    yield "affinity", f"cores {allowed}{quota}"
    variables = ", ".join(f"{name}={value}" for name, value in system.variables.items()) or "no variables"
    yield "threads", f"torch {found.torch_threads} ({variables})"
    yield "hypervisor", str(cpu["hypervisor"])
    yield "governor", system.governor or UNKNOWN
    yield (
        "clock",
        (
            f"{clock.call}, source {clock.source or UNKNOWN}; smallest step {1e9 * clock.step_s:.0f} ns, "
            f"reading it takes {1e9 * clock.cost_s:.0f} ns"
        ),
    )
    pages = f"; huge pages {system.huge_pages}" if system.huge_pages else ""
    yield "allocator", f"{system.allocator}, settings: {found.allocator}{pages}"
    free = "" if system.memory_available is None else f", {100 * system.memory_available:.0f}% available"
    yield "memory", f"{cpu['memory_mib']} MiB{free}"
    yield "energy", found.energy


def _now(found: Checkup) -> Iterator[tuple[str, str]]:
    yield "load", UNKNOWN if found.load is None else f"{found.load:.2f} when this began"
    yield (
        "pressure",
        f"{_share(found.asleep.pressure)} while this process slept, {_share(found.timing.pressure)} while it timed",
    )
    yield "steal", _share(found.timing.steal)
    yield "noise grade", found.claims.grade
    for process in found.asleep.others[:3]:
        yield "also running", f"{process.name} (pid {process.pid}), {100 * process.share:.0f}% of a core"


def _claims(found: Checkup) -> Iterator[tuple[str, str]]:
    claims = found.claims
    low, high = 100 * claims.interval.low, 100 * claims.interval.high
    held = "held" if found.held else "MISSED: trust no difference that was measured here now"
    made = f"{claims.claims} of {claims.n} comparisons of a model with itself claimed a difference"
    yield "false claims", f"{made}: {100 * claims.rate:.1f}% [{low:.1f}, {high:.1f}], in {claims.seconds:.0f} s"
    yield "", f"target at most {100 * TARGET:.0f}%: {held}"
    if claims.invalid:
        yield "", f"{claims.invalid} more were withheld, because their A/A control failed"


def _effect(effect: Effect) -> tuple[str, str]:
    if math.isnan(effect.share):
        return "smallest effect", "not measured: fewer than two blocks fitted into the time"
    withheld = effect.grade == "D"
    model = "a ViT of about 7 ms" if withheld else f"a ViT of {effect.latency_ms:.1f} ms here"
    control = "" if effect.valid else "; its A/A control FAILED, so that no verdict would be given now"
    shown = f"{100 * effect.share:.1f}% in {effect.seconds:.0f} s on {model}"
    how = f"{effect.blocks} blocks, found four times in five; grade {effect.grade}; no interval"
    return "smallest effect", f"{shown} ({how}){control}"


def _ceilings(ceilings: list[Ceilings]) -> Iterator[tuple[str, str]]:
    for each in ceilings:
        product = each.matmul
        name = f"{each.dtype}{' (TF32)' if each.tf32 else ''}"
        if product is None:
            yield name, f"not measured: {each.reasons['matmul']}"
        else:
            yield name, f"{_rate(product, 1e9, 'GFLOP/s')}, matrices of {product.size}×{product.size}"
    copying = ceilings[0].copy
    if copying is None:
        yield "copying", f"not measured: {ceilings[0].reasons['copy']}"
    else:
        note = f"; {copying.note}" if copying.note else ""
        size = f"buffers of {copying.size / 2**20:.0f} MiB"
        yield "copying", f"{_rate(copying, 1e9, 'GB/s')}, read and written, {size}{note}"
    starting = ceilings[0].start
    if starting is None:
        yield "an operation", f"not measured: {ceilings[0].reasons['start']}"
    else:
        yield "an operation", f"{1e6 / starting.interval.value:.3g} µs to start (mean of a ViT that computes nothing)"


def _rate(ceiling: Ceiling, unit: float, name: str) -> str:
    found = ceiling.interval
    value, low, high = (f"{float(f'{x / unit:.3g}'):g}" for x in (found.value, found.low, found.high))
    return f"{value} {name} [{low}, {high}]"


def _threads(found: Checkup) -> str:
    count = found.ceilings[0].threads
    return f"{count} thread{'s' * (count != 1)}, 95% intervals over {len(_windows(found))} windows"


def _windows(found: Checkup) -> tuple[float, ...]:
    return next((each.matmul.rates for each in found.ceilings if each.matmul is not None), ())


def _share(share: float | None) -> str:
    return UNKNOWN if share is None else f"{100 * share:.1f}%"
