"""The checks that time something: false claims, the smallest effect that can be shown, ceilings. Loads torch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from vitbench.declare.vit import ViTConfig
from vitbench.doctor import readings
from vitbench.doctor.readings import Look
from vitbench.doctor.self_check import SelfCheck, false_claims
from vitbench.measure.roofline.ceilings import Ceilings, ceilings
from vitbench.measure.timing import host_load
from vitbench.measure.timing.host_load import Reading
from vitbench.measure.timing.latency import compare
from vitbench.models import build
from vitbench.stats import detectable_effect

SEVEN_MS = ViTConfig(img_size=32, patch_size=4, num_classes=10, embed_dim=192, depth=4, num_heads=3)
"""For reference: about 7 ms a call on one core of a server."""

DTYPES = ("float32", "bfloat16", "float16")
SLEEP_S = 2.0
COMPARISON_S, EFFECT_S, CEILING_S = 0.2, 10.0, 3.0
"""Seconds that one comparison, the session and one data type's ceilings take, about."""

Progress = Callable[[float, str], None]
"""Told how much of a check is done, 0 to 1, and what is being done."""


@dataclass(frozen=True)
class Window:
    """What the machine did between two looks."""

    seconds: float
    pressure: float | None
    steal: float | None
    others: list[readings.Process]
    migrations: int | None
    throttled: int | None


class Watch:
    """Looks at the machine now, and again when asked."""

    def __init__(self) -> None:
        """Takes the first look."""
        self._reading: Reading = host_load.read()
        self._look: Look = readings.look()

    def window(self) -> Window:
        """What has happened since."""
        reading, look = host_load.read(), readings.look()

        def grown(before: int | None, after: int | None) -> int | None:
            return None if before is None or after is None else after - before

        return Window(
            seconds=look.time - self._look.time,
            pressure=self._reading.pressure(reading),
            steal=self._reading.steal(reading),
            others=readings.busy(self._look, look),
            migrations=grown(self._look.migrations, look.migrations),
            throttled=grown(self._look.throttled, look.throttled),
        )


@dataclass(frozen=True)
class Effect:
    """The smallest difference that a session of this length shows on a model of about 7 ms."""

    share: float  # 80 % power at the 5 % level; NaN: too few blocks
    latency_ms: float
    blocks: int
    seconds: float
    grade: host_load.Grade
    valid: bool  # whether the A/A control held


def asleep(seconds: float) -> Window:
    """What others do while this process does nothing."""
    watch = Watch()
    time.sleep(seconds)
    return watch.window()


def claims(comparisons: int, on: Progress) -> SelfCheck:
    """Compares a tiny model with itself so many times (docs/why-believe-these-numbers.md, 1)."""

    def each(done: int, planned: int) -> None:
        on(done / planned, f"A/A comparison {done} of {planned}")

    return false_claims(comparisons, budget_s=COMPARISON_S, on_comparison=each)


def smallest_effect(threads: int, on: Progress, *, budget_s: float = EFFECT_S) -> Effect:
    """A real session of a model with itself; its spread over blocks says which difference would have been found."""
    on(0.0, f"a session of {budget_s:.0f} s on a ViT of about 7 ms")
    torch.manual_seed(0)
    model, images = build(SEVEN_MS), torch.randn(1, 3, 32, 32)
    found = compare(
        {"a": model, "b": model}, images, baseline="a", budget_s=budget_s, target=1e-4, threads=threads
    )  # the target is out of reach, so that all the time is used
    logs = found.session.log_ratios("b")
    spread = float(logs.std(ddof=1)) if len(logs) > 1 else math.nan
    return Effect(
        share=math.expm1(detectable_effect(spread, len(logs))),
        latency_ms=found.latency_ms("a").value,
        blocks=len(logs),
        seconds=sum(block.seconds for block in found.session.blocks),
        grade=found.grade,
        valid=found.valid,
    )


def all_ceilings(threads: int, device: str, on: Progress) -> list[Ceilings]:
    """This machine's ceilings, of each data type."""
    found: list[Ceilings] = []
    for number, dtype in enumerate(DTYPES):
        on(number / len(DTYPES), f"ceilings of {dtype}")
        known = found[0].copy if found else None
        found.append(ceilings(dtype, threads=threads, device=device, copied=known))
    return found
