"""The processor: its memory is the host's, its energy counter is RAPL."""

from __future__ import annotations

from vitbench.devices import host_memory
from vitbench.devices.device import Device, EnergyCounter
from vitbench.devices.rapl import Rapl


class Cpu(Device):
    """The processors of this machine, which torch addresses as one device."""

    def free_memory(self) -> int:
        """Bytes that a process can allocate without swapping."""
        return host_memory.free_memory()

    def last_level_cache(self) -> int | None:
        """Bytes of the largest cache of the first core; None if unknown."""
        return host_memory.last_level_cache()

    def energy_counter(self) -> EnergyCounter:
        """RAPL, which counts all packages of the machine.

        Raises:
            NotAvailableError: the machine exposes no RAPL counter, or only root may read it.
        """
        return Rapl()
