"""Live checks of the timing method: a model compared with itself, through ``compare`` as any user calls it.

The tiny model is a ViT of half a millisecond, so that many comparisons take little time.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vitbench.declare.vit import ViTConfig
from vitbench.measure.timing import host_load
from vitbench.measure.timing.latency import Comparison, compare
from vitbench.models import build
from vitbench.stats import Interval, detectable_effect, wilson_interval

TINY = ViTConfig(img_size=8, patch_size=2, in_chans=1, num_classes=10, embed_dim=32, depth=2, num_heads=2)
BATCH_SIZE = 8
SEVEN_MS = ViTConfig(img_size=32, patch_size=4, num_classes=10, embed_dim=192, depth=4, num_heads=3)
"""About 7 ms per call on one core of a server."""

COMPARISON_S = 0.2
"""Budget of one comparison of the tiny model."""


@dataclass(frozen=True)
class FalseClaims:
    """Comparisons of a model with itself, in which every verdict "faster" or "slower" is false."""

    n: int  # comparisons
    claims: int  # verdicts "faster" or "slower"
    invalid: int  # comparisons without a verdict because their A/A control failed
    seconds: float
    grade: host_load.Grade  # noise grade over all comparisons
    interval: Interval  # of the rate of claims: Wilson, 95 %

    @property
    def rate(self) -> float:
        """Share of comparisons that claim a difference."""
        return self.claims / self.n


def false_claims(
    comparisons: int = 100,
    *,
    budget_s: float = COMPARISON_S,
    seed: int = 0,
    on_comparison: Callable[[int, int], None] = lambda _done, _planned: None,
) -> FalseClaims:
    """The false claims in repeated comparisons of the tiny model with itself; at most 10 in 100 are expected.

    The target is row 1 of the last table in docs/why-believe-these-numbers.md.

    Args:
        comparisons: number of comparisons, each a session with its own seed.
        budget_s: seconds per comparison; its six short blocks take longer on a busy machine.
        seed: of the first comparison; the others follow.
        on_comparison: called after each with the numbers of finished and planned comparisons.
    """
    model, images = tiny()
    start = time.perf_counter()
    found: list[Comparison] = []
    for index in range(comparisons):
        found.append(compare({"a": model, "b": model}, images, baseline="a", budget_s=budget_s, seed=seed + index))
        on_comparison(index + 1, comparisons)
    claims = sum(each.ratios["b"].verdict.kind in {"faster", "slower"} for each in found)
    pressures = [each.session.pressure for each in found if each.session.pressure is not None]
    pressure = statistics.fmean(pressures) if pressures else None
    return FalseClaims(
        n=comparisons,
        claims=claims,
        invalid=sum(not each.valid for each in found),
        seconds=time.perf_counter() - start,
        grade=host_load.grade(pressure, statistics.fmean(each.session.cpu_share for each in found)),
        interval=wilson_interval(claims, comparisons),
    )


@dataclass(frozen=True)
class Effect:
    """The smallest difference that a session detects on a model of about 7 ms."""

    share: float  # detected with 80 % power at the 5 % level; NaN: too few blocks
    latency_ms: float
    blocks: int
    seconds: float
    grade: host_load.Grade
    valid: bool  # whether the A/A control held


def smallest_effect(threads: int, budget_s: float) -> Effect:
    """The smallest effect that a session of ``budget_s`` seconds detects, from the spread over its blocks."""
    torch.manual_seed(0)
    model, images = build(SEVEN_MS), torch.randn(1, 3, 32, 32)
    # The target is out of reach, so that the session uses its whole budget.
    found = compare({"a": model, "b": model}, images, baseline="a", budget_s=budget_s, target=1e-4, threads=threads)
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


class Repeated(nn.Module):
    """Calls a model several times: 20 against 21 calls differ by 5 % of the work, and in nothing else."""

    def __init__(self, model: nn.Module, times: int) -> None:
        super().__init__()
        self.model = model
        self.times = times

    def forward(self, x: Tensor) -> Tensor:
        """The output of the last call."""
        for _ in range(self.times):
            output: Tensor = self.model(x)
        return output


def tiny() -> tuple[nn.Module, Tensor]:
    """The tiny model and a batch for it, always the same ones."""
    torch.manual_seed(0)
    model = build(TINY)
    return model, torch.randn(BATCH_SIZE, TINY.in_chans, 8, 8, generator=torch.Generator().manual_seed(0))
