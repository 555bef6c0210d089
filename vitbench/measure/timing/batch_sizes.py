"""Throughput over batch sizes: where it stops growing. Windows of all models and sizes are interleaved.

Each window places only what it times: eight sizes of a large model side by side would not fit.
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
"""Of a doubling, under which throughput is called saturated."""


def doublings(most: int) -> tuple[int, ...]:
    """1, 2, 4 and so on up to ``most``, which need not be one of them."""
    return tuple(2**k for k in range(most.bit_length()) if 2**k <= most)


@dataclass
class Rates:
    """Images per second of one model by batch size, one number a window; and why larger batches have none."""

    windows: dict[int, list[float]] = field(default_factory=dict)
    ended: str | None = None

    def interval(self, batch_size: int) -> stats.Interval:
        """Geometric mean over windows with its t interval, in images per second."""
        return stats.ratio_interval(np.log(self.windows[batch_size]))

    @property
    def saturation(self) -> int | None:
        """The batch size from which throughput gains less than 5 % per doubling; None: it gained to the last."""
        return saturation_batch_size({size: self.interval(size).value for size in self.windows})


def saturation_batch_size(rates: Mapping[int, float], gain: float = GAIN) -> int | None:
    """The smallest batch size from which every doubling that was measured gains less than ``gain``.

    Args:
        rates: batch size → images per second.
        gain: as a fraction.
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

    A size at which a model raises, for want of memory or otherwise, ends the sizes of that model.

    Args:
        subject_of: name and batch size → model and input.
        names: of the models.
        sizes: of the batches.
        window_s: seconds of back-to-back calls in a window, at least.
        windows: of each model and size. Each round visits all of them in a random order.
        seed: of placements and orders.
        timer: seconds; injected by tests.
        on_window: told what comes next, outside all timing.
    """
    rng = np.random.default_rng(seed)
    found = {name: Rates() for name in names}
    limit: dict[str, float] = dict.fromkeys(names, float("inf"))
    for number in range(windows):
        cells = [(name, size) for name in names for size in sizes]
        for index in rng.permutation(len(cells)) if number else range(len(cells)):  # first upwards: what fits is learnt
            name, size = cells[index]
            if size >= limit[name]:
                continue
            on_window(name, size)
            try:
                draw = int(rng.integers(2**31))
                rates = measure({name: subject_of(name, size)}, window_s=window_s, windows=1, seed=draw, timer=timer)
            except SubjectError as error:
                limit[name], found[name].ended = size, f"{size} images a call: {error.reason}"
                found[name].windows = {at: rate for at, rate in found[name].windows.items() if at < size}
                continue
            found[name].windows.setdefault(size, []).extend(rates[name])
    return found
