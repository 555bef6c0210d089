"""Energy and memory from NVML, whose Python module is replaced by one with known answers."""

import os
from types import SimpleNamespace

import pytest

from vitbench.devices import NotAvailableError, nvml

MIB = 2**20


class NVMLError(Exception):
    pass


class Driver:
    """One GPU, ``GPU-1``; ``broken`` functions raise."""

    NVMLError = NVMLError

    def __init__(self, *processes, broken=()):
        self.processes, self.broken = processes, broken
        self.millijoules, self.opened = 7_000, 0

    def _answer(self, function, value=None):
        if function in self.broken:
            raise NVMLError("Not Supported")
        return value

    def nvmlInit(self):
        self._answer("nvmlInit")
        self.opened += 1

    def nvmlShutdown(self):
        self.opened -= 1

    def nvmlDeviceGetHandleByUUID(self, uuid):
        if uuid != "GPU-1":
            raise NVMLError("Not Found")
        return 42

    def nvmlDeviceGetTotalEnergyConsumption(self, gpu):
        assert gpu == 42
        return self._answer("energy", self.millijoules)

    def nvmlDeviceGetComputeRunningProcesses(self, gpu):
        assert gpu == 42
        found = [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in self.processes]
        return self._answer("processes", found)


@pytest.fixture
def driver(monkeypatch):
    def install(*processes, broken=()):
        made = Driver(*processes, broken=broken)
        monkeypatch.setattr(nvml, "pynvml", made)
        return made

    return install


def test_the_real_module_has_what_is_called():
    import pynvml

    called = [name for name in vars(Driver) if name.startswith("nvml")]
    assert len(called) == 5
    assert all(callable(getattr(pynvml, name)) for name in called)
    assert issubclass(pynvml.NVMLError, Exception)


def test_energy_is_millijoules(driver):
    made = driver()
    counter = nvml.Energy("GPU-1")
    before = counter.read()
    made.millijoules = 707_000
    assert counter.joules_between(before, counter.read()) == pytest.approx(700.0)
    assert "GPU-1" in counter.source
    assert counter.max_window_s == float("inf")


@pytest.mark.parametrize(
    ("broken", "uuid", "reason"),
    [
        (("nvmlInit",), "GPU-1", "nvmlInit failed: Not Supported"),
        ((), "GPU-2", "nvmlDeviceGetHandleByUUID failed: Not Found"),
        (("energy",), "GPU-1", "nvmlDeviceGetTotalEnergyConsumption failed: Not Supported"),
    ],
)
def test_a_missing_counter_is_a_reason(driver, broken, uuid, reason):
    driver(broken=broken)
    with pytest.raises(NotAvailableError, match=reason):
        nvml.Energy(uuid)


def test_a_process_is_found_among_others(driver):
    made = driver((1, 10), (os.getpid(), 3 * MIB))
    assert nvml.process_memory("GPU-1") == 3 * MIB
    assert made.opened == 0


@pytest.mark.parametrize(
    ("processes", "broken", "uuid", "words"),
    [
        ([(1, 10)], (), "GPU-1", "inside a container"),
        ([], (), "GPU-1", "does not list process"),
        ([(os.getpid(), None)], (), "GPU-1", "does not report the memory"),
        ([], ("processes",), "GPU-1", "nvmlDeviceGetComputeRunningProcesses failed: Not Supported"),
        ([], (), "GPU-2", "Not Found"),
    ],
)
def test_a_driver_that_does_not_report_memory_is_a_reason(driver, processes, broken, uuid, words):
    made = driver(*processes, broken=broken)
    with pytest.raises(NotAvailableError, match=words):
        nvml.process_memory(uuid)
    assert made.opened == 0


def test_this_machine_answers_or_gives_a_reason():
    """The library itself: without a driver it raises its own error, which becomes the reason."""
    try:
        nvml.process_memory("GPU-none")
    except NotAvailableError as error:
        assert "failed: " in str(error)  # noqa: PT017  # with a driver, the GPU does not exist
