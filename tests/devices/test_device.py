"""Names, the choice of a device, and what each type answers; GPUs are torch functions with made answers."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from vitbench import devices
from vitbench.devices import NotAvailableError, device_of, resolve_device, type_of
from vitbench.devices.cpu import Cpu
from vitbench.devices.cuda import Cuda
from vitbench.utils.errors import UserError

MIB = 2**20


def test_names_need_no_torch():
    code = "import sys, vitbench.devices as d; assert d.type_of('cuda:1') == 'cuda'; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("device", "kind", "implementation"),
    [
        ("cpu", "cpu", Cpu),
        ("cuda:1", "cuda", Cuda),
        (torch.device("cuda", 2), "cuda", Cuda),
        (torch.device("meta"), "meta", devices.Device),
    ],
)
def test_a_name_and_a_torch_device_lead_to_their_type(device, kind, implementation):
    found = device_of(device)
    assert type_of(device) == kind
    assert type(found) is implementation
    assert found.name == str(device)


def test_a_device_type_is_one_entry_and_one_class(monkeypatch):
    class Simulated(devices.Device):
        is_asynchronous = True

    monkeypatch.setitem(sys.modules, "simulated", SimpleNamespace(Simulated=Simulated))
    monkeypatch.setitem(devices.TYPES, "simulated", "simulated:Simulated")
    assert device_of("simulated:0").is_asynchronous


@pytest.mark.parametrize("gpu", [True, False])
def test_auto_prefers_the_gpu(monkeypatch, gpu):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert resolve_device("cpu") == "cpu"
    assert resolve_device("auto") == ("cuda" if gpu else "cpu")


@pytest.mark.parametrize(("cuda", "reason"), [(None, "is built without CUDA"), ("12.9", "sees no GPU")])
def test_a_gpu_that_is_missing_is_refused_with_the_reason(monkeypatch, cuda, reason):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    with pytest.raises(UserError, match=rf"'cuda' is not available: torch {torch.__version__[:4]}.* {reason}.*cpu$"):
        resolve_device("cuda")


def test_an_unknown_device_names_those_that_exist():
    with pytest.raises(UserError, match="unknown device 'gpu': auto, cpu, cuda exist"):
        resolve_device("gpu")


def test_the_cpu_has_no_facts_beyond_the_hosts():
    cpu = device_of("cpu")
    cpu.synchronize()
    assert (cpu.is_asynchronous, cpu.facts(), cpu.total_memories(), cpu.random_state()) == (False, None, [], None)
    assert cpu.free_memory() > MIB


def test_another_device_is_never_given_the_processors_energy():
    with pytest.raises(NotAvailableError, match="no energy counter of a 'xpu' device"):
        device_of("xpu:0").energy_counter()
    assert device_of("xpu").free_memory() is None


@pytest.fixture
def gpu(monkeypatch):
    """Two GPUs of made properties; the calls that reach torch are noted."""
    calls = []
    properties = SimpleNamespace(
        name="Made GPU", total_memory=24 * 2**30, major=9, minor=0, L2_cache_size=50 * MIB, uuid="12-ab"
    )
    answers = {
        "get_device_properties": properties,
        "device_count": 2,
        "mem_get_info": (5 * MIB, 9 * MIB),
        "max_memory_allocated": 3,
        "max_memory_reserved": 4,
        "get_rng_state": "state",
    }
    for name in [*answers, "synchronize", "reset_peak_memory_stats", "set_rng_state"]:

        def call(*arguments, _name=name):
            calls.append((_name, *arguments))
            return answers.get(_name)

        monkeypatch.setattr(torch.cuda, name, call)
    return SimpleNamespace(calls=calls, properties=properties)


def test_a_gpu_is_addressed_by_its_own_index(gpu):
    device = device_of("cuda:1")
    assert device.is_asynchronous
    device.synchronize()
    device.reset_peak_memory()
    device.set_random_state("state")
    assert (device.random_state(), device.free_memory(), device.peak_memory()) == ("state", 5 * MIB, (3, 4))
    assert device.last_level_cache() == 50 * MIB
    assert {arguments[-1] for arguments in gpu.calls} == {"cuda:1"}
    assert device.total_memories() == [24 * 2**30] * 2


def test_the_recorded_facts_of_a_gpu(gpu):
    found = device_of("cuda").facts()
    assert found["name"] == "Made GPU"
    assert found["memory_mib"] == 24 * 1024
    assert found["capability"] == "9.0"
    assert {"cuda", "cudnn", "cudnn_benchmark", "tf32"} <= found.keys()  # what comparability compares


def test_a_uuid_is_spelled_as_nvml_spells_it(gpu):
    assert Cuda("cuda").uuid() == "GPU-12-ab"
    gpu.properties.uuid = "GPU-12-ab"
    assert Cuda("cuda").uuid() == "GPU-12-ab"
    del gpu.properties.uuid
    with pytest.raises(NotAvailableError, match="UUID of cuda"):
        Cuda("cuda").uuid()
