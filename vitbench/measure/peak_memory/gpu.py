"""Peak memory of a step on a GPU, as three separate quantities: allocated, reserved and process memory.

Allocated memory is the peak of all tensors. Reserved memory is what torch's caching allocator took from the driver.
Process memory is what the driver reports (NVML), including the CUDA context and library workspaces. Reserved memory is
never released within a process, so the process memory after a step is its peak.
"""

from __future__ import annotations

from dataclasses import dataclass

from vitbench.devices import NotAvailableError
from vitbench.devices.cuda import Cuda
from vitbench.measure.peak_memory.real_step import RealStep


@dataclass(frozen=True)
class GpuMemory:
    """Peak memory of a step in bytes; ``process`` is None, with a reason, if the driver does not report it."""

    allocated: int
    reserved: int
    process: int | None
    reason: str | None = None


def gpu_memory(step: RealStep, device: str) -> GpuMemory:
    """The peak memory of one step after a warm-up; exceptions of the step pass through."""
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
