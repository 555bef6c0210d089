"""Memory of a step on a CUDA device, three numbers that are never mixed: allocated, reserved, and the process'.

Allocated is what tensors took at the peak, reserved what torch's caching allocator had taken from the driver for them,
the process' bytes what the driver says of it (NVML), with CUDA's context and the libraries' workspaces. Nothing
releases reserved memory within a process, so the process' bytes after a step are its highest.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from typing import Any

import torch

from vitbench.devices import nvml
from vitbench.measure.peak_memory.real_step import RealStep

_UNKNOWN = 2**64 - 1
_TOO_SMALL = 7  # NVML_ERROR_INSUFFICIENT_SIZE
RUNNING = "nvmlDeviceGetComputeRunningProcesses_v3"


@dataclass(frozen=True)
class GpuMemory:
    """Bytes at the peak of a step; ``process`` is None with a reason where the driver does not say."""

    allocated: int
    reserved: int
    process: int | None
    reason: str | None = None


def gpu_memory(step: RealStep, device: str) -> GpuMemory:
    """Measures one step after a warm-up.

    Raises:
        Whatever the step raises.
    """
    step.warm_up()
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    step.run()
    torch.cuda.synchronize(device)
    peak = torch.cuda.max_memory_allocated(device), torch.cuda.max_memory_reserved(device)
    try:
        return GpuMemory(*peak, process=process_bytes(nvml.uuid_of(device)))
    except (OSError, LookupError, AttributeError) as error:
        return GpuMemory(*peak, process=None, reason=f"{type(error).__name__}: {error}")


class _Process(ctypes.Structure):
    """``nvmlProcessInfo_t``."""

    _fields_ = (
        ("pid", ctypes.c_uint),
        ("used", ctypes.c_ulonglong),
        ("instance", ctypes.c_uint),
        ("compute_instance", ctypes.c_uint),
    )


def process_bytes(uuid: str, library: Any = None) -> int:
    """What the driver says that this process holds on the GPU.

    Args:
        uuid: of the GPU, ``GPU-…``.
        library: with NVML's functions, as ctypes has them; the driver's by default.

    Raises:
        OSError: no NVML here, or one of its calls failed.
        LookupError: it lists no such process (in a container it knows other numbers), or not its memory.
    """
    driver, count = nvml.opened(library), ctypes.c_uint(0)
    try:
        card = nvml.card(driver, uuid)
        try:
            nvml.call(driver, RUNNING, card, ctypes.byref(count), None)
        except nvml.NvmlError as error:
            if error.code != _TOO_SMALL:
                raise
        count.value += 8  # others may start meanwhile
        found = (_Process * count.value)()
        nvml.call(driver, RUNNING, card, ctypes.byref(count), found)
        own = next((one.used for one in found[: count.value] if one.pid == os.getpid()), None)
    finally:
        driver.nvmlShutdown()
    if own is None:
        raise LookupError(f"NVML lists no process {os.getpid()} on the GPU: in a container it knows other numbers")
    if own == _UNKNOWN:
        raise LookupError("NVML does not say how much memory a process holds here")
    return int(own)
