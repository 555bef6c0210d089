"""Throughput over batch sizes, and the batch size at which it saturates.

Windows of all models and sizes are interleaved. Each window holds only one model and size in memory, because several
sizes of a large model would not fit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from vitbench import stats
from vitbench.measure.timing.subject import Subject, SubjectError
from vitbench.measure.timing.throughput import measure

GAIN = 0.05
"""Minimum relative gain of a doubling; below it, throughput is saturated."""


def doublings(most: int) -> tuple[int, ...]:
    """The powers of two up to ``most``."""
    return tuple(2**k for k in range(most.bit_length()) if 2**k <= most)


@dataclass
class Rates:
    """Throughput of a model by batch size, one number per window, and the reason why larger batches were not timed."""

    windows: dict[int, list[float]] = field(default_factory=dict)
    ended: str | None = None

    def interval(self, batch_size: int) -> stats.Interval:
        """The geometric mean over windows with its t interval, in images per second."""
        return stats.ratio_interval(np.log(self.windows[batch_size]))

    @property
    def saturation(self) -> int | None:
        """The batch size from which throughput gains less than 5 % per doubling; None if it never saturates."""
        return saturation_batch_size({size: self.interval(size).value for size in self.windows})


def saturation_batch_size(rates: Mapping[int, float], gain: float = GAIN) -> int | None:
    """The smallest batch size from which every measured doubling gains less than ``gain``; None if there is none.

    Args:
        rates: images per second by batch size.
        gain: relative gain, as a fraction.
    """
    found = None
    for size in sorted(rates, reverse=True):
        if 2 * size in rates:
            if not rates[2 * size] < (1 + gain) * rates[size]:
                break
            found = size
    return found


def sweep(
    subject_of: Callable[[str, int], Subject],
    names: Sequence[str],
    sizes: Sequence[int],
    *,
    window_s: float = 2.0,
    windows: int = 3,
    seed: int = 0,
    timer: Callable[[], float] = time.perf_counter,
    on_window: Callable[[str, int], None] = lambda _name, _size: None,
) -> dict[str, Rates]:
    """Forward throughput of all models at all batch sizes.

    A batch size at which a model fails, out of memory or otherwise, ends the sweep of that model.

    Args:
        subject_of: returns the model and input for a name and batch size.
        names: names of the models.
        sizes: batch sizes.
        window_s: minimum seconds of back-to-back calls in a window.
        windows: number of windows per model and size. Each round visits all in a random order.
        seed: seed of placements and orders.
        timer: returns seconds; injected by tests.
        on_window: called with the next model and size, outside all timing.
    """
    rng = np.random.default_rng(seed)
    found = {name: Rates() for name in names}
    limit: dict[str, float] = dict.fromkeys(names, float("inf"))
    for number in range(windows):
        cells = [(name, size) for name in names for size in sizes]
        # the first round goes upwards, to find out which sizes fit
        for index in rng.permutation(len(cells)) if number else range(len(cells)):
            name, size = cells[index]
            if size >= limit[name]:
                continue
            on_window(name, size)
            try:
                draw = int(rng.integers(2**31))
                rates = measure({name: subject_of(name, size)}, window_s=window_s, windows=1, seed=draw, timer=timer)
            except SubjectError as error:
                limit[name], found[name].ended = size, f"{size} images per call: {error.reason}"
                found[name].windows = {n: rates for n, rates in found[name].windows.items() if n < size}
                continue
            found[name].windows.setdefault(size, []).extend(rates[name])
    return found
