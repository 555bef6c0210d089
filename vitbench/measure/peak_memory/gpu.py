"""Memory of a step on a GPU, three figures that are never mixed: allocated, reserved, and the process' memory.

Allocated is the peak of all tensors. Reserved is what torch's caching allocator took from the driver for them. The
process' memory is what the driver reports (NVML), including CUDA's context and the libraries' workspaces. Nothing
releases reserved memory within a process, so its memory after a step is its peak.
"""

from __future__ import annotations

from dataclasses import dataclass

from vitbench.devices import NotAvailableError
from vitbench.devices.cuda import Cuda
from vitbench.measure.peak_memory.real_step import RealStep


@dataclass(frozen=True)
class GpuMemory:
    """Bytes at the peak of a step; ``process`` is None with a reason where the driver does not report it."""

    allocated: int
    reserved: int
    process: int | None
    reason: str | None = None


def gpu_memory(step: RealStep, device: str) -> GpuMemory:
    """The memory of one step after a warm-up.

    Raises:
        Whatever the step raises.
    """
    gpu = Cuda(device)
    step.warm_up()
    gpu.synchronize()
    gpu.reset_peak_memory()
    step.run()
    gpu.synchronize()
    allocated, reserved = gpu.peak_memory()
    try:
        return GpuMemory(allocated, reserved, gpu.process_memory())
    except NotAvailableError as error:
        return GpuMemory(allocated, reserved, None, str(error))
