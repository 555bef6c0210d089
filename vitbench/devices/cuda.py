"""NVIDIA GPUs, through ``torch.cuda`` and the driver's management library (NVML)."""

from __future__ import annotations

from typing import Any

import torch

from vitbench.devices.device import Device, EnergyCounter, NotAvailableError


class Cuda(Device):
    """One GPU; ``cuda`` without an index is torch's current one."""

    is_asynchronous = True

    def why_unavailable(self) -> str | None:
        """Why torch cannot use a GPU here; None if it can."""
        if torch.cuda.is_available():
            return None
        return f"torch {torch.__version__} {'sees no GPU' if torch.version.cuda else 'is built without CUDA'}"

    def synchronize(self) -> None:
        """Waits for all kernels in all streams of this GPU."""
        torch.cuda.synchronize(self.name)

    @staticmethod
    def event() -> Any:
        """A CUDA event that records its time."""
        return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch's stubs lack it

    def facts(self) -> dict[str, Any]:
        """The facts of the GPU that are recorded with an environment."""
        cudnn: Any = torch.backends.cudnn
        gpu = torch.cuda.get_device_properties(self.name)
        return {
            "name": gpu.name,
            "memory_mib": gpu.total_memory // 2**20,
            "capability": f"{gpu.major}.{gpu.minor}",
            "cuda": torch.version.cuda,
            "cudnn": cudnn.version(),
            "cudnn_benchmark": cudnn.benchmark,
            "tf32": {"matmul": torch.backends.cuda.matmul.allow_tf32, "cudnn": cudnn.allow_tf32},
        }

    def free_memory(self) -> int:
        """Bytes of free GPU memory."""
        return int(torch.cuda.mem_get_info(self.name)[0])

    def total_memories(self) -> list[int]:
        """Bytes of each visible GPU, in index order."""
        return [torch.cuda.get_device_properties(i).total_memory for i in range(torch.cuda.device_count())]

    def allocated_memory(self) -> int:
        """Bytes that tensors occupy now."""
        return int(torch.cuda.memory_allocated(self.name))

    def reset_peak_memory(self) -> None:
        """Starts a new peak for ``peak_memory``."""
        torch.cuda.reset_peak_memory_stats(self.name)

    def peak_memory(self) -> tuple[int, int]:
        """Bytes at the peak: allocated by tensors, and reserved by torch's caching allocator."""
        return torch.cuda.max_memory_allocated(self.name), torch.cuda.max_memory_reserved(self.name)

    def process_memory(self) -> int:
        """Bytes that this process holds on the GPU according to the driver, CUDA's context included.

        Raises:
            NotAvailableError: the driver does not report them.
        """
        from vitbench.devices import nvml

        return nvml.process_memory(self.uuid())

    def last_level_cache(self) -> int:
        """Bytes of the L2 cache."""
        return int(torch.cuda.get_device_properties(self.name).L2_cache_size)

    def random_state(self) -> Any:
        """The state of the GPU's default generator."""
        return torch.cuda.get_rng_state(self.name)

    def set_random_state(self, state: Any) -> None:
        """Restores what ``random_state`` returned."""
        torch.cuda.set_rng_state(state, self.name)

    def energy_counter(self) -> EnergyCounter:
        """NVML's total since the driver was loaded.

        Raises:
            NotAvailableError: there is no driver, no such GPU, or the GPU has no counter.
        """
        from vitbench.devices import nvml

        return nvml.Energy(self.uuid())

    def uuid(self) -> str:
        """The GPU's UUID as NVML spells it, ``GPU-…``.

        Raises:
            NotAvailableError: torch sees no GPU, or does not report its UUID.
        """
        try:
            found = str(torch.cuda.get_device_properties(self.name).uuid)
        except (AssertionError, RuntimeError, AttributeError) as error:
            raise NotAvailableError(f"torch does not report the UUID of {self.name}: {error}") from error
        return found if found.startswith("GPU-") else f"GPU-{found}"
