"""How precise the timing method is, and what it costs: numbers of docs/why-believe-these-numbers.md."""

from __future__ import annotations

import statistics
import time
from typing import Any

from vitbench.doctor.self_check import Repeated, tiny
from vitbench.measure.timing.latency import compare
from vitbench.measure.timing.sample import timed
from vitbench.measure.timing.subject import Subject
from vitbench.stats import ratio_half_width


def precision(*, target: float = 0.01, budget_s: float = 60.0, calls: int = 14) -> dict[str, Any]:
    """How precisely the ratio of two equal models of about 7 ms (``calls`` tiny ones) is known, and after how long.

    If the half-width does not reach the target within the budget, the verdict is "inconclusive".
    """
    model, images = tiny()
    repeated = Repeated(model, calls)
    start = time.perf_counter()
    found = compare({"a": repeated, "b": repeated}, images, baseline="a", target=target, budget_s=budget_s)
    return {
        "half_width": ratio_half_width(found.session.log_ratios("b")),
        "seconds": time.perf_counter() - start,
        "blocks": len(found.session.blocks),
        "verdict": found.ratios["b"].verdict.text,
        "latency_ms": found.latency_ms("a").value,
        "grade": found.grade,
    }


def harness_cost_s(samples: int = 2000) -> float:
    """The median time, in seconds, that the harness measures for a call that does nothing."""

    def nothing(_: Any = None) -> None:
        return None

    subject = Subject(nothing, None)
    return statistics.median(timed("nothing", nothing, subject, 1, time.perf_counter)[0].wall for _ in range(samples))
