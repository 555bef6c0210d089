"""Images per second when calls follow one another without a pause.

Not batch ÷ latency: back to back, a device works on one call while the next is being prepared, and nothing waits for
a result. Each window is at least ``window_s`` long and ends with the only synchronisation. What it leaves out: loading
and preparing the images.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np

from vitbench.measure.energy import Meter
from vitbench.measure.timing.subject import Call, Subject, blame, placed


def _window(call: Call, subject: Subject, window_s: float, timer: Callable[[], float]) -> float:
    """Images per second of one window."""
    calls = 0
    subject.synchronize()
    start = timer()
    while timer() - start < window_s:
        call()
        calls += 1
    subject.synchronize()
    return calls * subject.batch_size / (timer() - start)


def measure(
    subjects: Mapping[str, Subject],
    *,
    window_s: float = 2.0,
    windows: int = 3,
    seed: int = 0,
    meter: Meter | None = None,
    timer: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Forward throughput of all subjects, interleaved.

    Args:
        subjects: name → model and input; its batch size is the input's.
        window_s: seconds of back-to-back calls in a window, at least.
        windows: per subject. Each round has a fresh placement and a random order.
        seed: of placements and orders.
        meter: of energy; it records every window under the subject's name.
        timer: seconds; injected by tests.

    Returns:
        name → images per second, one a window.

    Raises:
        SubjectError: a subject raised, or put out NaN or infinity.
    """
    rng = np.random.default_rng(seed)
    rates: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(windows):
        with placed(subjects, "forward", rng) as calls:
            for name in rng.permutation(list(subjects)).tolist():
                if meter is not None:
                    meter.begin()
                with blame(name):
                    rates[name].append(_window(calls[name], subjects[name], window_s, timer))
                if meter is not None:
                    meter.record(name, rates[name][-1])
    return rates
