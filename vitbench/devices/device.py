"""The interface of a device type, and the lookup of the class that implements it."""

from __future__ import annotations

import importlib
from typing import Any, Protocol

from vitbench.devices.names import CHOICES, TYPES, type_of
from vitbench.utils.errors import UserError, unknown


class NotAvailableError(UserError):
    """This machine cannot provide a figure; the message is the reason and reads well after "not measured: "."""


class EnergyCounter(Protocol):
    """A running total of energy."""

    @property
    def source(self) -> str:
        """Which counter this is and which domains it covers."""
        ...

    @property
    def max_window_s(self) -> float:
        """The longest window, in seconds, in which the counter cannot wrap around more than once."""
        ...

    def read(self) -> list[float]:
        """The totals now, in joules, one per domain.

        Raises:
            NotAvailableError: the counter cannot be read.
        """
        ...

    def joules_between(self, earlier: list[float], later: list[float]) -> float:
        """The energy used between two readings, in joules."""
        ...


class Device:
    """A device of an unknown type; each supported type overrides what can be read from it."""

    is_asynchronous = False
    """Whether a call may return before the device has finished it."""

    def __init__(self, name: object) -> None:
        """Takes the name as torch does, such as ``cuda:1``, or a ``torch.device``."""
        self.name = str(name)

    def why_unavailable(self) -> str | None:
        """Why torch cannot use this device here; None if it can."""
        return None

    def synchronize(self) -> None:
        """Waits until the device has finished all submitted work."""

    def facts(self) -> dict[str, Any] | None:
        """The hardware and driver facts of an environment record; None if the host's facts say everything."""
        return None

    def free_memory(self) -> int | None:
        """Bytes that can be allocated now; None if unknown."""
        return None

    def total_memories(self) -> list[int]:
        """Bytes of memory of each visible device of this type, in index order; empty where memory is the host's."""
        return []

    def last_level_cache(self) -> int | None:
        """Bytes of the last-level cache; None if unknown."""
        return None

    def random_state(self) -> Any:
        """The state of the device's default generator; None if there is none besides torch's own."""
        return None

    def set_random_state(self, state: Any) -> None:
        """Restores what ``random_state`` returned."""

    def energy_counter(self) -> EnergyCounter:
        """The energy counter of this device, after a test reading.

        Raises:
            NotAvailableError: there is no counter, or it cannot be read.
        """
        raise NotAvailableError(f"energy is not available here: no energy counter of a {type_of(self.name)!r} device")


def device_of(device: object) -> Device:
    """The device of a name or of a ``torch.device``."""
    if type_of(device) not in TYPES:
        return Device(device)
    module, _, name = TYPES[type_of(device)].partition(":")
    found: Device = getattr(importlib.import_module(module), name)(device)
    return found


def resolve_device(choice: str) -> str:
    """The device type to use: the choice itself, or for ``auto`` the first accelerator available here, else ``cpu``.

    Raises:
        UserError: no such device type, or it is not available here.
    """
    if choice not in CHOICES:
        raise UserError(unknown("device", choice, CHOICES))
    if choice == "auto":
        accelerators = (name for name in TYPES if name != "cpu")
        return next((name for name in accelerators if device_of(name).why_unavailable() is None), "cpu")
    if reason := device_of(choice).why_unavailable():
        raise UserError(f"device {choice!r} is not available: {reason}; type --device cpu")
    return choice
