"""Joules that a window of work took, where the machine has a counter: NVML's on a GPU, RAPL's on a processor.

Both count the whole card, or the whole package with its memory, whoever works on it, and idling too: a window is worth
something on a machine that does nothing else, and from two seconds on. Power that is sampled now and then is never
used. Without a counter the answer is a reason, never 0.

RAPL: Documentation/power/powercap in the kernel; the files ``energy_uj`` count microjoules up to
``max_energy_range_uj`` and begin again at 0. NVML: ``nvmlDeviceGetTotalEnergyConsumption``, millijoules since the
driver was loaded, on cards from Volta on.
"""

from __future__ import annotations

import contextlib
import ctypes
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from vitbench.devices import nvml
from vitbench.utils.errors import UserError

SYSFS = Path("/sys/class/powercap")
LEAST_WINDOW_S = 2.0
FASTEST_W = 1000.0
"""No package takes more: how soon a counter may have gone round twice, which nobody would see."""

Timer: TypeAlias = Callable[[], float]


class NoCounterError(UserError):
    """There is no counter of energy here; the message is the reason, fit to stand behind "not measured"."""


class Counter(Protocol):
    """A running total of joules."""

    @property
    def source(self) -> str:
        """What is counted, and by whom."""
        ...

    @property
    def longest_s(self) -> float:
        """Seconds of a window in which it cannot have gone round twice."""
        ...

    def read(self) -> list[float]:
        """Joules now, one a part that is counted.

        Raises:
            NoCounterError: it does not answer any more.
        """
        ...

    def since(self, earlier: list[float], later: list[float]) -> float:
        """Joules between two readings."""
        ...


@dataclass(frozen=True)
class Energy:
    """What a window took; ``joules`` None: not measured, for this reason."""

    joules: float | None
    window_s: float
    source: str = ""
    reason: str = ""


class Meter:
    """Measures windows, one after another: ``begin``, the work, ``end``.

    Where there is no counter every window says why.

    Attributes:
        windows: name → its windows, each with the images a second at which it went.
    """

    def __init__(self, device: str = "cpu", *, find: Callable[[str], Counter] | None = None) -> None:
        """Looks for the counter of a device: ``cpu`` or ``cuda``; ``find`` stands in for that in tests."""
        self.counter: Counter | None = None
        self.reason = ""
        try:
            self.counter = (find or counter_of)(device)
        except NoCounterError as error:
            self.reason = str(error)
        self._start: tuple[float, list[float]] = (0.0, [])
        self.windows: dict[str, list[tuple[Energy, float]]] = {}

    def begin(self, timer: Timer = time.perf_counter) -> None:
        """Starts a window."""
        self._start = (timer(), self._read())

    def end(self, timer: Timer = time.perf_counter) -> Energy:
        """The window since ``begin``."""
        later, seconds = self._read(), timer() - self._start[0]
        if self.counter is None:
            return Energy(None, seconds, reason=self.reason)
        source = self.counter.source
        if seconds < LEAST_WINDOW_S * 0.999:
            return Energy(None, seconds, source, f"a window of {seconds:.2g} s is too short, it takes 2 s or more")
        if seconds > self.counter.longest_s:
            return Energy(None, seconds, source, f"the counter may have gone round twice in {seconds:.0f} s")
        joules = self.counter.since(self._start[1], later)
        if not joules > 0:
            return Energy(None, seconds, source, f"{source} did not move in {seconds:.2g} s")
        return Energy(joules, seconds, source)

    def note(self, name: str, images_per_s: float) -> None:
        """Ends a window of somebody's, who went through so many images a second."""
        self.windows.setdefault(name, []).append((self.end(), images_per_s))

    def per_image(self, name: str) -> tuple[list[float], dict[str, str]]:
        """Joules an image, one a window; nothing where a window was not measured, and the source, or the reason."""
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
        except NoCounterError as error:
            self.counter, self.reason = None, str(error)
            return []


def counter_of(device: str) -> Counter:
    """The counter of a device, read once to see that it answers.

    Raises:
        NoCounterError: there is none, or it may not be read.
    """
    found: Counter = Nvml() if device.partition(":")[0] == "cuda" else Rapl()
    found.read()
    return found


class Rapl:
    """All packages of the machine, and the memory of those that count it apart."""

    def __init__(self, root: Path = SYSFS) -> None:
        """Finds the domains below ``root``.

        Raises:
            NoCounterError: there are none, as in most virtual machines.
        """
        zones = {path: _word(path / "name") for path in sorted(root.glob("intel-rapl:*")) if (path / "name").exists()}
        self.zones = [path for path, name in zones.items() if name.startswith("package") or name == "dram"]
        if not self.zones:
            raise NoCounterError(f"this machine shows no energy counter: no intel-rapl package in {root}")
        self.ranges = [int(_word(path / "max_energy_range_uj")) / 1e6 for path in self.zones]
        self.source = f"RAPL ({', '.join(zones[path] for path in self.zones)})"
        self.longest_s = min(self.ranges) / FASTEST_W

    def read(self) -> list[float]:
        """Joules of each domain, from 0 to its range."""
        return [int(_word(path / "energy_uj")) / 1e6 for path in self.zones]

    def since(self, earlier: list[float], later: list[float]) -> float:
        """Joules between; a counter that stands lower than before has begun again at 0."""
        pairs = zip(earlier, later, self.ranges, strict=True)
        return sum(after - before if after >= before else after - before + span for before, after, span in pairs)


def _word(path: Path) -> str:
    try:
        return path.read_text().strip()
    except PermissionError:
        raise NoCounterError(
            f"{path} may be read by root only: `sudo chmod a+r {SYSFS}/intel-rapl*/energy_uj` lets you, until the next "
            "start"
        ) from None
    except OSError as error:
        raise NoCounterError(f"{path} cannot be read: {error.strerror}") from None


class Nvml:
    """One GPU, by NVML's total since the driver was loaded."""

    longest_s = float("inf")

    def __init__(self, library: Any = None, uuid: str | None = None) -> None:
        """Opens NVML: the driver's library, or one that stands in for it.

        Args:
            library: with NVML's functions, as ctypes has them.
            uuid: of the card, ``GPU-…``; by default torch's current one.

        Raises:
            NoCounterError: no driver, no such card, or one that does not count.
        """
        with _telling():
            self._nvml = nvml.opened(library)
            name = uuid or _current_card()
            self._card = nvml.card(self._nvml, name)
        self.source = f"NVML total energy ({name})"

    def read(self) -> list[float]:
        """Joules since the driver was loaded."""
        millijoules = ctypes.c_ulonglong()
        with _telling():
            nvml.call(self._nvml, "nvmlDeviceGetTotalEnergyConsumption", self._card, ctypes.byref(millijoules))
        return [millijoules.value / 1e3]

    def since(self, earlier: list[float], later: list[float]) -> float:
        """Joules between."""
        return later[0] - earlier[0]


@contextlib.contextmanager
def _telling() -> Iterator[None]:
    """What NVML could not do, as a reason for readers."""
    said = {3: "this card has no such counter", 4: "permission was refused", 6: "no such card"}
    try:
        yield
    except nvml.NvmlError as error:
        what = said.get(error.code, f"NVML error {error.code}")
        raise NoCounterError(f"{error.function} failed: {what}") from error
    except OSError as error:
        raise NoCounterError(f"the NVIDIA driver's {nvml.LIBRARY} is not here") from error


def _current_card() -> str:
    import torch

    with contextlib.suppress(AssertionError, RuntimeError, AttributeError):
        return nvml.uuid_of(torch.cuda.current_device())
    raise NoCounterError("torch sees no GPU")
