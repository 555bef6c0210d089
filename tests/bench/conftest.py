"""Benchmarks of one group are also timed together: our paired ratios stand beside pytest-benchmark's columns.

pytest-benchmark times one after another; ``vitbench.measure.compare`` times all models of a group in one session, with
an A/A control. Both are printed, and saved with the rest (``extra_info``), so that the same estimator serves both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vitbench.measure import compare
from vitbench.utils.threads import torch_threads

BASELINE = "the first of its group"
HEADINGS = ("model", "median (ms)", "iqr (ms)", "rounds", "paired ratio", "verdict")


@dataclass
class Group:
    """Models that are timed on one input in one manner; the first is the baseline."""

    mode: Any
    example: Tensor
    models: dict[str, nn.Module] = field(default_factory=dict)
    rows: dict[str, tuple[str, str]] = field(default_factory=dict)  # ratio and verdict
    note: str = ""


GROUPS = pytest.StashKey[dict[str, Group]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--paired-budget", type=float, default=10.0, help="seconds of each group's joint session; 0: none (10)"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[GROUPS] = {}


@pytest.fixture(autouse=True)
def one_thread():
    with torch_threads(1):
        yield


@pytest.fixture
def together(request: pytest.FixtureRequest, benchmark: Any) -> Callable[[str, nn.Module, Tensor, str], None]:
    """Puts a model into its benchmark group's joint session."""

    def join(name: str, model: nn.Module, example: Tensor, mode: str) -> None:
        if not benchmark.disabled:
            group = request.config.stash[GROUPS].setdefault(benchmark.group, Group(mode, example))
            group.models[name] = model
            benchmark.extra_info["model"] = name

    return join


@pytest.hookimpl(tryfirst=True)  # before pytest-benchmark saves
def pytest_sessionfinish(session: pytest.Session) -> None:
    groups = session.config.stash[GROUPS]
    budget_s = session.config.getoption("--paired-budget") if groups else 0
    if not budget_s:
        return
    made = {(b.group, b.extra_info.get("model")): b for b in session.config._benchmarksession.benchmarks}
    for title, group in groups.items():
        if len(group.models) < 2:
            continue
        first = next(iter(group.models))
        found = compare(group.models, group.example, baseline=first, budget_s=budget_s, mode=group.mode)
        group.note = f"grade {found.grade}, A/A control {'held' if found.valid else 'failed'}"
        group.rows[first] = ("1", f"baseline, {BASELINE}")
        for name, ratio in found.ratios.items():
            bounds = "no interval" if math.isnan(ratio.low) else f"[{ratio.low:.3f}, {ratio.high:.3f}]"
            group.rows[name] = (f"{ratio.value:.3f} {bounds}", ratio.verdict.text)
            made[title, name].extra_info["paired"] = {
                "against": first, "ratio": ratio.value, "low": ratio.low, "high": ratio.high,
                "verdict": ratio.verdict.text, "grade": found.grade, "valid": found.valid,
            }  # fmt: skip


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    shown = {title: group for title, group in config.stash[GROUPS].items() if group.rows}
    made = config._benchmarksession.benchmarks if shown else ()
    stats = {(b.group, b.extra_info.get("model")): b.stats for b in made}
    for title, group in shown.items():
        lines = [HEADINGS]
        for name, (ratio, verdict) in group.rows.items():
            own = stats[title, name]
            lines.append((name, f"{1e3 * own.median:.3f}", f"{1e3 * own.iqr:.3f}", str(own.rounds), ratio, verdict))
        widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
        terminalreporter.section(f"{title}: timed together, {group.note}")
        for line in lines:
            terminalreporter.write_line("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip())


@pytest.fixture
def seeded() -> None:
    torch.manual_seed(0)
