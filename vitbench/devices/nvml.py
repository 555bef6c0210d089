"""Figures about an NVIDIA GPU that torch does not report: energy, and memory by process (NVML, ``nvidia-ml-py``)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import pynvml

from vitbench.devices.device import NotAvailableError


class Energy:
    """The energy counter of one GPU: millijoules since the driver was loaded, on GPUs from Volta on."""

    max_window_s = float("inf")

    def __init__(self, uuid: str) -> None:
        """Opens NVML and reads the counter once.

        Args:
            uuid: of the GPU, ``GPU-…``.

        Raises:
            NotAvailableError: there is no driver, no such GPU, or the GPU has no counter.
        """
        self.source = f"NVML total energy ({uuid})"
        with _reason("nvmlInit"):
            pynvml.nvmlInit()
        self._gpu = _handle(uuid)
        self.read()

    def read(self) -> list[float]:
        """Joules since the driver was loaded."""
        with _reason("nvmlDeviceGetTotalEnergyConsumption"):
            return [pynvml.nvmlDeviceGetTotalEnergyConsumption(self._gpu) / 1e3]

    def joules_between(self, earlier: list[float], later: list[float]) -> float:
        """The energy used between two readings, in joules."""
        return later[0] - earlier[0]


def process_memory(uuid: str) -> int:
    """Bytes that this process holds on the GPU with this UUID.

    Raises:
        NotAvailableError: NVML is missing, a call failed, or the driver does not report this process' memory.
    """
    with _reason("nvmlInit"):
        pynvml.nvmlInit()
    try:
        gpu = _handle(uuid)
        with _reason("nvmlDeviceGetComputeRunningProcesses"):
            processes = pynvml.nvmlDeviceGetComputeRunningProcesses(gpu)
    finally:
        pynvml.nvmlShutdown()
    own = [process.usedGpuMemory for process in processes if process.pid == os.getpid()]
    if not own:
        raise NotAvailableError(
            f"NVML does not list process {os.getpid()}: inside a container the driver knows it by another number"
        )
    if own[0] is None:
        raise NotAvailableError("NVML does not report the memory of a process on this GPU")
    return int(own[0])


def _handle(uuid: str) -> Any:
    with _reason("nvmlDeviceGetHandleByUUID"):
        return pynvml.nvmlDeviceGetHandleByUUID(uuid)


@contextlib.contextmanager
def _reason(function: str) -> Iterator[None]:
    """Turns an error of NVML into a reason that names the function."""
    try:
        yield
    except pynvml.NVMLError as error:
        raise NotAvailableError(f"{function} failed: {error}") from error
