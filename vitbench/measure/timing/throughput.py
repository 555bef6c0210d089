"""Throughput in images per second of back-to-back calls.

It is not batch size ÷ latency, because a device works on one call while the next is being launched. Each window lasts
at least ``window_s`` and has a single synchronisation at its end. Loading and preprocessing of images are excluded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np

from vitbench.measure.energy import Meter
from vitbench.measure.timing.subject import Call, Subject, as_subject_error, placed


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
    """Forward throughput of all subjects in images per second, one number per window, with interleaved windows.

    Args:
        subjects: models and inputs by name.
        window_s: minimum seconds of back-to-back calls in a window.
        windows: number of windows per subject. Each round has a fresh placement and a random order.
        seed: seed of placements and orders.
        meter: measures the energy of every window.
        timer: returns seconds; injected by tests.

    Raises:
        SubjectError: a subject raised an exception, or its output is NaN or infinite.
    """
    rng = np.random.default_rng(seed)
    rates: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(windows):
        with placed(subjects, "forward", rng) as calls:
            for name in rng.permutation(list(subjects)).tolist():
                if meter is not None:
                    meter.begin()
                with as_subject_error(name):
                    rates[name].append(_window(calls[name], subjects[name], window_s, timer))
                if meter is not None:
                    meter.record(name, rates[name][-1])
    return rates
