"""Ceilings on a clock whose steps are known, and once for real, in next to no time."""

import pytest
import torch

from vitbench.devices.cpu import Cpu
from vitbench.measure.roofline import ceilings as module
from vitbench.measure.roofline.ceilings import (
    NotMeasuredError,
    ceilings,
    launch_rate,
    matmul_throughput,
    memory_bandwidth,
)
from vitbench.measure.roofline.memory_traffic import traffic


class Ticking:
    """A clock that goes on by a step whenever it is read."""

    def __init__(self, step):
        self.now, self.step = 0.0, step

    def __call__(self):
        self.now += self.step
        return self.now


def test_a_window_counts_its_calls():
    """The clock goes on by 1/16 s a reading: 8 readings fill half a second, between them 7 calls, and one ends it."""
    timing = module._Timing("cpu", windows=3, window_s=0.5, timer=Ticking(1 / 16))
    calls = []
    assert timing.rates(lambda: calls.append(1), work=50.0) == pytest.approx([50.0 * 7 / (9 / 16)] * 3)
    assert len(calls) == 1 + 3 * 7  # the first is not counted


def test_the_size_that_goes_fastest_is_timed(monkeypatch):
    """A product whose cost is known: the cube, and more where it no longer fits a made cache."""
    clock, sizes = Ticking(0.0), []

    def product(dtype, side, device):
        def call():
            sizes.append(side)
            clock.now += 2 * side**3 / (1e11 if side <= 512 else 0.5e11)

        return call

    monkeypatch.setattr(module, "_product", product)
    found = matmul_throughput(windows=2, window_s=0.1, timer=clock)
    assert (found.size, found.interval.value) == (512, pytest.approx(1e11))
    assert max(sizes) == 2048  # takes over a window: none is larger
    assert found.interval.n == 2


def test_copying_counts_reads_and_writes(monkeypatch):
    clock = Ticking(0.0)
    real = torch.Tensor.copy_

    def timed(self, other):
        clock.now += 0.02
        return real(self, other)

    monkeypatch.setattr(torch.Tensor, "copy_", timed)
    found = memory_bandwidth(windows=2, window_s=0.1, timer=clock, buffer=4000)
    assert found.rates == pytest.approx([2 * 4000 / 0.02] * 2)
    assert found.size == 4000


def test_a_buffer_is_as_large_as_the_cache_or_says_so(monkeypatch):
    monkeypatch.setattr(module, "MIN_BUFFER", 2**20)
    monkeypatch.setattr(Cpu, "last_level_cache", lambda _: 2**22)
    whole = memory_bandwidth(windows=2, window_s=0.001)
    assert (whole.size, whole.note) == (2**22, "")
    monkeypatch.setattr(Cpu, "free_memory", lambda _: 2**21 * module.MEMORY_SHARE)
    cut = memory_bandwidth(windows=2, window_s=0.001)
    assert cut.size == 2**21
    assert all(size in cut.note for size in ("buffers of 2 MiB", "cache of 4 MiB"))


def test_what_torch_cannot_multiply_has_a_reason(monkeypatch):
    def refuse(*_):
        raise RuntimeError("\"addmm_impl_cpu_\" not implemented for 'Half'\nmore")

    monkeypatch.setattr(torch.Tensor, "__matmul__", refuse)
    with pytest.raises(NotMeasuredError, match='torch has no float16 matmul on cpu here: "addmm_impl_cpu_"'):
        matmul_throughput("float16")
    found = ceilings("float16", windows=2, window_s=0.001, copied=module.Ceiling((1.0, 2.0), 8))
    assert found.matmul is None
    values, samples = found.record()
    assert values["matmul_flop_per_s"] is None
    assert values["reasons"]["matmul"].startswith("torch has no float16")
    assert sorted(samples) == ["copy", "start"]


def test_starting_is_counted_in_operations():
    found = launch_rate(windows=2, window_s=0.01)
    assert found.size == traffic(module.SMALL_VIT).ops
    assert min(found.rates) > 0


def test_for_real(monkeypatch):
    monkeypatch.setattr(module, "SIZES", (64, 128))
    monkeypatch.setattr(module, "MIN_BUFFER", 2**20)
    monkeypatch.setattr(Cpu, "last_level_cache", lambda _: None)
    threads = torch.get_num_threads()
    values, samples = ceilings("bfloat16", threads=1, windows=3, window_s=0.005).record()
    assert torch.get_num_threads() == threads
    assert (values["dtype"], values["threads"], values["device"], values["tf32"]) == ("bfloat16", 1, "cpu", False)
    assert values["matmul_size"] in {64, 128}
    assert {key: (len(kept["values"]), kept["unit"]) for key, kept in samples.items()} == {
        "matmul": (3, "FLOP/s"), "copy": (3, "byte/s"), "start": (3, "op/s"),
    }  # fmt: skip
    assert values["matmul_flop_per_s"] == pytest.approx(sum(samples["matmul"]["values"]) / 3)
