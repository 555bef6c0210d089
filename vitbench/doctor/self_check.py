"""What the harness must show about itself, live: claims where there is nothing to claim, effects of known size found.

Every function here runs ``compare`` as anybody would. The model is a ViT of half a millisecond, so that many
comparisons fit in little time; budgets are per comparison.
"""

from __future__ import annotations

import copy
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vitbench.declare.vit import ViTConfig
from vitbench.measure.timing import host_load
from vitbench.measure.timing.latency import Comparison, compare
from vitbench.measure.timing.sample import timed
from vitbench.measure.timing.subject import Subject
from vitbench.models import build
from vitbench.stats import Interval, ratio_half_width, wilson_interval

TINY = ViTConfig(img_size=8, patch_size=2, in_chans=1, num_classes=10, embed_dim=32, depth=2, num_heads=2)
BATCH_SIZE = 8
CLAIMS = ("faster", "slower")


@dataclass(frozen=True)
class SelfCheck:
    """Comparisons of a model with itself: every verdict "faster" or "slower" is false."""

    n: int  # comparisons
    claims: int  # verdicts that claim a difference
    invalid: int  # comparisons that were withheld because the A/A control failed; they claim nothing
    seconds: float
    grade: host_load.Grade  # of the machine meanwhile
    interval: Interval  # of the rate of claims: Wilson, 95 %

    @property
    def rate(self) -> float:
        """Share of comparisons that claim a difference."""
        return self.claims / self.n


def false_claims(
    comparisons: int = 100,
    *,
    budget_s: float = 0.3,
    limit_s: float | None = None,
    seed: int = 0,
    on_comparison: Callable[[int, int], None] | None = None,
) -> SelfCheck:
    """Compares a tiny model with itself, again and again; at most 10 claims in 100 are expected.

    docs/why-believe-these-numbers.md, row 1 of its last table.

    Args:
        comparisons: each a session of its own, with its own seed.
        budget_s: seconds of each; six short blocks take longer where the machine is busy.
        limit_s: seconds after which no further one is begun; ``n`` says how many there were. None: all are run.
        seed: of the first; the others follow.
        on_comparison: called with comparisons done and planned after each.
    """
    model, images = tiny()
    start = time.perf_counter()
    claims = invalid = 0
    noise = _Noise()
    done = 0
    for index in range(comparisons):
        if limit_s is not None and done and time.perf_counter() - start > limit_s:
            break
        done += 1
        found = compare({"a": model, "b": model}, images, baseline="a", budget_s=budget_s, seed=seed + index)
        claims += found.ratios["b"].verdict.kind in CLAIMS
        invalid += not found.valid
        noise.add(found)
        if on_comparison is not None:
            on_comparison(index + 1, comparisons)
    return SelfCheck(
        n=done,
        claims=claims,
        invalid=invalid,
        seconds=time.perf_counter() - start,
        grade=noise.grade,
        interval=wilson_interval(claims, done),
    )


@dataclass(frozen=True)
class Detection:
    """Comparisons of a model with one that does a known share of its work again."""

    n: int
    found: int  # verdicts "slower"
    invalid: int  # withheld, because the A/A control failed
    truth: float  # the ratio, by calls
    mean: float  # of the ratios seen
    covered: int  # intervals that hold the truth
    seconds: float
    grade: host_load.Grade
    interval: Interval  # of the rate of findings: Wilson, 95 %

    @property
    def bias_points(self) -> float:
        """Mean ratio less the truth, in hundredths of the baseline."""
        return 100 * (self.mean - self.truth)


class Repeated(nn.Module):
    """Calls a model so many times: twenty against twenty-one differ by 5 % of the work, and by nothing else."""

    def __init__(self, model: nn.Module, times: int) -> None:
        super().__init__()
        self.model = model
        self.times = times

    def forward(self, x: Tensor) -> Tensor:
        """The last call's output."""
        for _ in range(self.times):
            output: Tensor = self.model(x)
        return output


def detection(
    comparisons: int = 20,
    *,
    calls: tuple[int, int] = (20, 21),
    budget_s: float = 10.0,
    seed: int = 0,
    on_comparison: Callable[[int, int], None] | None = None,
) -> Detection:
    """Looks for extra work of known size; 19 of 20 at grade B or better are expected, in 10 s each.

    docs/why-believe-these-numbers.md, row 3 of its last table.

    Args:
        comparisons: each a session of its own.
        calls: of the tiny model, in the baseline and in the one that does more.
        budget_s: seconds of each.
        seed: of the first; the others follow.
        on_comparison: called with comparisons done and planned after each.
    """
    model, images = tiny()
    models = {name: Repeated(copy.deepcopy(model), times) for name, times in zip(("less", "more"), calls, strict=True)}
    start = time.perf_counter()
    noise, ratios = _Noise(), []
    invalid = 0
    for index in range(comparisons):
        found = compare(models, images, baseline="less", budget_s=budget_s, seed=seed + index)
        ratios.append(found.ratios["more"])
        invalid += not found.valid
        noise.add(found)
        if on_comparison is not None:
            on_comparison(index + 1, comparisons)
    truth = calls[1] / calls[0]
    slower = sum(ratio.verdict.kind == "slower" for ratio in ratios)
    return Detection(
        n=comparisons,
        found=slower,
        invalid=invalid,
        truth=truth,
        mean=statistics.fmean(ratio.value for ratio in ratios),
        covered=sum(ratio.low <= truth <= ratio.high for ratio in ratios),
        seconds=time.perf_counter() - start,
        grade=noise.grade,
        interval=wilson_interval(slower, comparisons),
    )


@dataclass(frozen=True)
class Precision:
    """How exactly a ratio of 1 was known after so many seconds."""

    half_width: float  # as a fraction, at the nominal level
    target: float
    seconds: float
    blocks: int
    verdict: str
    latency_ms: float
    grade: host_load.Grade

    @property
    def reached(self) -> bool:
        """Whether the target was; if not, the verdict is "inconclusive"."""
        return self.half_width <= self.target


def precision(*, target: float = 0.01, budget_s: float = 60.0, calls: int = 14, seed: int = 0) -> Precision:
    """How long it takes to know the ratio of two equal models of about 7 ms to ±1 % (at most 60 s, or inconclusive).

    Args:
        target: half-width, as a fraction.
        budget_s: seconds.
        calls: of the tiny model in each.
        seed: of the session.
    """
    model, images = tiny()
    repeated = Repeated(model, calls)
    start = time.perf_counter()
    found = compare({"a": repeated, "b": repeated}, images, baseline="a", target=target, budget_s=budget_s, seed=seed)
    return Precision(
        half_width=ratio_half_width(found.session.log_ratios("b")),
        target=target,
        seconds=time.perf_counter() - start,
        blocks=len(found.session.blocks),
        verdict=found.ratios["b"].verdict.text,
        latency_ms=found.latency_ms("a").value,
        grade=found.grade,
    )


def harness_cost_s(samples: int = 2000) -> float:
    """Seconds that a timed call costs beside the call itself: the median of timing a callable that does nothing."""

    def nothing(_: Any = None) -> None:
        return None

    subject = Subject(nothing, None)
    walls = [timed("nothing", nothing, subject, 1, time.perf_counter)[0].wall for _ in range(samples)]
    return float(np.median(walls))


def tiny() -> tuple[nn.Module, Tensor]:
    """The tiny model and a batch for it, the same ones every time."""
    torch.manual_seed(0)
    model = build(TINY)
    return model, torch.randn(BATCH_SIZE, TINY.in_chans, 8, 8, generator=torch.Generator().manual_seed(0))


class _Noise:
    """The grade of several comparisons together."""

    def __init__(self) -> None:
        self.pressures: list[float] = []
        self.shares: list[float] = []

    def add(self, found: Comparison) -> None:
        self.shares.append(found.session.cpu_share)
        if found.session.pressure is not None:
            self.pressures.append(found.session.pressure)

    @property
    def grade(self) -> host_load.Grade:
        pressure = statistics.fmean(self.pressures) if self.pressures else None
        return host_load.grade(pressure, statistics.fmean(self.shares) if self.shares else math.nan)
