"""Energy of a window of work, in joules, on machines that have an energy counter: NVML on a GPU, RAPL on a processor.

Both count the whole GPU, or all processor packages with their memory, including idle power and the work of other
processes. A figure therefore means something only on an otherwise idle machine, and from two seconds on. Sampled power
is never used. Where there is no counter, the result is a reason, never 0.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from vitbench.devices import NotAvailableError, device_of
from vitbench.devices.device import EnergyCounter

MIN_WINDOW_S = 2.0

Timer: TypeAlias = Callable[[], float]


@dataclass(frozen=True)
class Energy:
    """The energy of one window; ``joules`` is None where it was not measured, for the given reason."""

    joules: float | None
    window_s: float
    source: str = ""
    reason: str = ""


class Meter:
    """Measures windows, one after another: ``begin``, the work, ``end``.

    Without a counter, every window carries the reason.

    Attributes:
        windows: name → its windows, each with its rate in images per second.
    """

    def __init__(self, device: str = "cpu", *, find: Callable[[], EnergyCounter] | None = None) -> None:
        """Opens the energy counter of a device; tests pass ``find`` to use another counter."""
        self.counter: EnergyCounter | None = None
        self.reason = ""
        try:
            self.counter = (find or device_of(device).energy_counter)()
        except NotAvailableError as error:
            self.reason = str(error)
        self._start: tuple[float, list[float]] = (0.0, [])
        self.windows: dict[str, list[tuple[Energy, float]]] = {}

    def begin(self, timer: Timer = time.perf_counter) -> None:
        """Starts a window."""
        self._start = (timer(), self._read())

    def end(self, timer: Timer = time.perf_counter) -> Energy:
        """The energy since ``begin``."""
        later, seconds = self._read(), timer() - self._start[0]
        if self.counter is None:
            return Energy(None, seconds, reason=self.reason)
        source = self.counter.source
        if seconds < MIN_WINDOW_S * 0.999:  # timers round
            return Energy(None, seconds, source, f"a window of {seconds:.2g} s is too short: the minimum is 2 s")
        if seconds > self.counter.max_window_s:
            return Energy(None, seconds, source, f"the counter may have wrapped around twice in {seconds:.0f} s")
        joules = self.counter.joules_between(self._start[1], later)
        if not joules > 0:
            return Energy(None, seconds, source, f"{source} did not change in {seconds:.2g} s")
        return Energy(joules, seconds, source)

    def record(self, name: str, images_per_s: float) -> None:
        """Ends the current window and adds it to those of ``name``, which processed images at this rate."""
        self.windows.setdefault(name, []).append((self.end(), images_per_s))

    def per_image(self, name: str) -> tuple[list[float], dict[str, str]]:
        """Joules per image, one per window, and the source; no figures and the reason if any window lacks one."""
        found = self.windows.get(name, [])
        reason = next((energy.reason for energy, _ in found if energy.joules is None), None if found else self.reason)
        if reason is not None:
            return [], {"reason": reason}
        joules = [energy.joules / (rate * energy.window_s) for energy, rate in found if energy.joules is not None]
        return joules, {"source": found[0][0].source}

    def _read(self) -> list[float]:
        if self.counter is None:
            return []
        try:
            return self.counter.read()
        except NotAvailableError as error:
            self.counter, self.reason = None, str(error)
            return []
