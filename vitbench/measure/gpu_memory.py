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

from vitbench.measure.real_step import RealStep

_UNKNOWN = 2**64 - 1
_TOO_SMALL = 7  # NVML_ERROR_INSUFFICIENT_SIZE
LIBRARY = "libnvidia-ml.so.1"


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
        return GpuMemory(*peak, process=process_bytes(_uuid(device)))
    except (OSError, LookupError, AttributeError) as error:
        return GpuMemory(*peak, process=None, reason=f"{type(error).__name__}: {error}")


def _uuid(device: str) -> str:
    return f"GPU-{torch.cuda.get_device_properties(device).uuid}"


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
    nvml = library or ctypes.CDLL(LIBRARY)
    card, count = ctypes.c_void_p(), ctypes.c_uint(0)
    _call(nvml.nvmlInit_v2())
    try:
        _call(nvml.nvmlDeviceGetHandleByUUID(uuid.encode(), ctypes.byref(card)))
        code = nvml.nvmlDeviceGetComputeRunningProcesses_v3(card, ctypes.byref(count), None)
        if code not in {0, _TOO_SMALL}:
            _call(code)
        count.value += 8  # others may start meanwhile
        found = (_Process * count.value)()
        _call(nvml.nvmlDeviceGetComputeRunningProcesses_v3(card, ctypes.byref(count), found))
        own = next((one.used for one in found[: count.value] if one.pid == os.getpid()), None)
    finally:
        nvml.nvmlShutdown()
    if own is None:
        raise LookupError(f"NVML lists no process {os.getpid()} on the GPU: in a container it knows other numbers")
    if own == _UNKNOWN:
        raise LookupError("NVML does not say how much memory a process holds here")
    return int(own)


def _call(code: int) -> None:
    if code:
        raise OSError(f"NVML error {code}")
