"""Our comparison beside the usual ways of timing, on the same pairs, in the same time, in one run.

    python -m tests.bench.rivals                 # in the environment of `nox -s bench`; `nox -s believe` runs it
    python -m tests.bench.rivals --busy 2        # beside two processes that compute

Half of the pairs are a model and its copy, where every claim of a difference is false; in the other half the second
does 5 % more of the same work (21 calls instead of 20), so that the truth is known. Everyone gets the same seconds for
a pair, in an order that is drawn anew for each. What a user concludes is judged by two rules: the estimates differ by
over 3 % (what ``--benchmark-compare-fail=mean:3%`` does), and a 95 % interval excludes no difference. The usual tools
give no interval for a ratio; theirs is Welch's, from the samples that they keep, as if these were independent.
"""

from __future__ import annotations

import argparse
import copy
import math
import multiprocessing
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from pytest_benchmark.utils import NameWrapper
from scipy import stats as scipy_stats
from torch import Tensor, nn
from torch.utils import benchmark as torch_benchmark

from vitbench.doctor.self_check import Repeated, tiny
from vitbench.measure import compare
from vitbench.measure.timing import host_load
from vitbench.stats import wilson_interval
from vitbench.utils import cli
from vitbench.utils.threads import torch_threads

CALLS = 20
"""Calls of the tiny model that make one of the first of a pair."""

EFFECTS = (0, 1)
"""Calls more that the second makes: none, or a twentieth."""

OVER = 0.03


@dataclass(frozen=True)
class Estimate:
    """Of the log-ratio second ÷ first: value and 95 % interval."""

    value: float
    low: float
    high: float
    seconds: float

    @property
    def claims(self) -> bool:
        return not self.low <= 0 <= self.high

    def covers(self, truth: float) -> bool:
        return self.low <= truth <= self.high


Method = Callable[[nn.Module, nn.Module, Tensor, float, int], tuple[float, float, float]]


def welch(first: list[float], second: list[float], value: float) -> tuple[float, float, float]:
    """An interval for the log-ratio of two means by the delta method, around the tool's own estimate."""
    parts = [(statistics.fmean(x), statistics.variance(x) / len(x), len(x)) for x in (first, second)]
    variances = [variance / mean**2 for mean, variance, _ in parts]
    total = sum(variances)
    df = total**2 / sum(v**2 / (n - 1) for v, (_, _, n) in zip(variances, parts, strict=True)) if total else 1.0
    half = float(scipy_stats.t.ppf(0.975, df)) * math.sqrt(total)
    return value, value - half, value + half


def timm_style(first: nn.Module, second: nn.Module, images: Tensor, budget_s: float, _seed: int) -> tuple[float, ...]:
    """timm's benchmark.py: ten calls to warm up, then calls one after another, and their mean; then the other model."""
    samples: list[list[float]] = []
    for model in (first, second):
        for _ in range(10):
            model(images)
        calls: list[float] = []
        end = time.perf_counter() + budget_s / 2
        while len(calls) < 5 or time.perf_counter() < end:
            start = time.perf_counter()
            model(images)
            calls.append(time.perf_counter() - start)
        samples.append(calls)
    return welch(*samples, math.log(statistics.fmean(samples[1]) / statistics.fmean(samples[0])))


def torch_utils(first: nn.Module, second: nn.Module, images: Tensor, budget_s: float, _seed: int) -> tuple[float, ...]:
    """``torch.utils.benchmark``: ``blocked_autorange`` of each, and the ratio of the medians."""
    found = [
        torch_benchmark.Timer("model(images)", globals={"model": model, "images": images}).blocked_autorange(
            min_run_time=budget_s / 2
        )
        for model in (first, second)
    ]
    return welch(*(list(x.times) for x in found), math.log(found[1].median / found[0].median))


def pytest_benchmark(
    first: nn.Module, second: nn.Module, images: Tensor, budget_s: float, _seed: int
) -> tuple[float, ...]:
    """pytest-benchmark's fixture with its defaults but for the time, and the ratio of the means that it compares."""
    samples: list[list[float]] = []
    for model in (first, second):
        fixture = BenchmarkFixture(
            SimpleNamespace(name="pair", nodeid="pair"), disable_gc=False, timer=NameWrapper(time.perf_counter),
            min_rounds=5, min_time=5e-6, max_time=budget_s / 2, precision=None, confidence=None, warmup=False,
            warmup_iterations=100_000, calibration_precision=10, add_stats=lambda _: None,
            logger=SimpleNamespace(debug=lambda *_, **__: None, warning=print), warner=None, disabled=False,
            cprofile=None, cprofile_loops=None, cprofile_dump=None,
        )  # fmt: skip
        fixture(model, images)
        samples.append(list(fixture.stats.stats.data))
    return welch(*samples, math.log(statistics.fmean(samples[1]) / statistics.fmean(samples[0])))


def ours(first: nn.Module, second: nn.Module, images: Tensor, budget_s: float, seed: int) -> tuple[float, ...]:
    """``vitbench.measure.compare``; a session whose A/A control fails claims nothing."""
    found = compare({"a": first, "b": second}, images, baseline="a", budget_s=budget_s, seed=seed)
    ratio = found.ratios["b"]
    bounds = (ratio.low, ratio.high) if found.valid else (0.0, math.inf)
    return math.log(ratio.value), *(math.log(x) if x else -math.inf for x in bounds)


METHODS: dict[str, Method] = {
    "vitbench compare": ours,
    "timm-style loop": timm_style,
    "torch.utils.benchmark": torch_utils,
    "pytest-benchmark": pytest_benchmark,
}


def _spin() -> None:
    array = np.random.default_rng(0).standard_normal((256, 256))
    while True:
        array @ array


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many processes compute meanwhile."""
    context = multiprocessing.get_context("spawn")
    started = [context.Process(target=_spin, daemon=True) for _ in range(processes)]
    for process in started:
        process.start()
    try:
        yield
    finally:
        for process in started:
            process.terminate()
            process.join()


def run(pairs: int, budget_s: float, seed: int) -> dict[str, dict[int, list[Estimate]]]:
    """Method → calls more → estimates."""
    rng = random.Random(seed)
    model, images = tiny()
    model.eval()
    found: dict[str, dict[int, list[Estimate]]] = {name: {more: [] for more in EFFECTS} for name in METHODS}
    plan = [(index, more) for index in range(pairs) for more in EFFECTS]
    for done, (index, more) in enumerate(plan):
        for name in rng.sample(list(METHODS), len(METHODS)):
            first, second = (Repeated(copy.deepcopy(model), calls) for calls in (CALLS, CALLS + more))
            start = time.perf_counter()
            with torch.inference_mode():
                low_high = METHODS[name](first, second, images, budget_s, seed + index)
            found[name][more].append(Estimate(*low_high, time.perf_counter() - start))
        left = (len(plan) - done - 1) * len(METHODS) * budget_s
        cli.progress(f"pair {done + 1} of {len(plan)}, about {left:.0f} s left")
    cli.progress("")
    return found


def share(count: int, of: int) -> str:
    """``3 of 40 [1.6, 20 %]``: Wilson, 95 %."""
    interval = wilson_interval(count, of)
    return f"{count} of {of} [{100 * interval.low:.0f}, {100 * interval.high:.0f}%]"


def table(found: dict[str, dict[int, list[Estimate]]]) -> list[list[str]]:
    """A heading and one row a method."""
    rows = [
        [
            "Method", "A/A: over 3%", "A/A: interval excludes 0", "5% more: found", "95% interval covers the truth",
            "Mean bias (points)", "Seconds a pair",
        ]
    ]  # fmt: skip
    for name, by_effect in found.items():
        same, more = by_effect[EFFECTS[0]], by_effect[EFFECTS[1]]
        truth = math.log1p(EFFECTS[1] / CALLS)
        covered = sum(e.covers(0) for e in same) + sum(e.covers(truth) for e in more)
        bias = 100 * statistics.fmean(math.expm1(e.value) - math.expm1(truth) for e in more)
        rows.append(
            [
                name,
                share(sum(abs(math.expm1(e.value)) > OVER for e in same), len(same)),
                share(sum(e.claims for e in same), len(same)),
                share(sum(e.claims and e.value > 0 for e in more), len(more)),
                share(covered, len(same) + len(more)),
                f"{bias:+.1f}",
                f"{statistics.fmean(e.seconds for e in same + more):.1f}",
            ]
        )
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.rivals", description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=20, help="of each kind (20)")
    parser.add_argument("--budget", type=float, default=3.0, help="seconds that each method has for a pair (3)")
    parser.add_argument("--busy", type=int, default=0, help="processes that compute meanwhile (0)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    before = host_load.read()
    with busy(options.busy), torch_threads(1):
        found = run(options.pairs, options.budget, options.seed)
    pressure = before.pressure(host_load.read())
    rows = table(found)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for number, row in enumerate(rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")
        if not number:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
    told = "not available here" if pressure is None else f"{100 * pressure:.0f}%"
    print(f"\n{options.pairs} pairs of each kind, {options.budget:g} s each, {options.busy} busy processes; ", end="")
    print(f"CPU pressure meanwhile: {told}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
