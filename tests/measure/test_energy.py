"""Windows of energy, on counters whose joules are known."""

import pytest
import torch
from torch import nn

from tests.support.rapl import make_xeon, zone
from vitbench.devices import device_of
from vitbench.devices.rapl import Rapl
from vitbench.measure.energy import Energy, Meter
from vitbench.measure.timing.subject import Subject
from vitbench.measure.timing.throughput import measure


@pytest.fixture
def xeon(tmp_path):
    return make_xeon(tmp_path)


def clock(*times):
    given = iter(times)
    return lambda: next(given)


def test_a_window_is_the_difference_of_two_readings(xeon, tmp_path):
    meter = Meter(find=lambda: Rapl(tmp_path))
    meter.begin(clock(10.0))
    xeon["package-0"].write_text("41000000")
    assert meter.end(clock(12.5)) == Energy(40.0, 2.5, "RAPL (package-0, dram, package-1)")


def test_a_counter_that_may_have_wrapped_around_twice_is_not_believed(tmp_path):
    zone(tmp_path, "intel-rapl:0", "package-0", 5, span=65_000_000_000)
    meter = Meter(find=lambda: Rapl(tmp_path))
    meter.begin(clock(0.0))
    found = meter.end(clock(66.0))
    assert found.joules is None
    assert "wrapped around twice in 66 s" in found.reason


@pytest.mark.parametrize(
    ("seconds", "microjoules", "reason"),
    [(1.5, 9_000_000, "1.5 s is too short: the minimum is 2 s"), (2.5, 1_000_000, "did not change in 2.5 s")],
)
def test_what_is_no_measurement_is_none_with_a_reason(xeon, tmp_path, seconds, microjoules, reason):
    meter = Meter(find=lambda: Rapl(tmp_path))
    meter.begin(clock(0.0))
    xeon["package-0"].write_text(str(microjoules))
    found = meter.end(clock(seconds))
    assert found.joules is None
    assert reason in found.reason


def test_without_a_counter_every_window_has_the_reason(tmp_path):
    meter = Meter(find=lambda: Rapl(tmp_path))
    meter.begin()
    found = meter.end()
    assert found.joules is None
    assert f"{tmp_path} contains no intel-rapl package" in found.reason
    assert meter.per_image("a") == ([], {"reason": found.reason})


def test_a_counter_that_vanishes_ends_in_a_reason(xeon, tmp_path):
    meter = Meter(find=lambda: Rapl(tmp_path))
    meter.begin()
    xeon["dram"].unlink()
    found = meter.end()
    assert found.joules is None
    assert "cannot be read: No such file" in found.reason


@pytest.mark.parametrize("device", ["xpu", "mps:0"])
def test_a_device_without_a_counter_is_not_given_the_processors(device, xeon, tmp_path, monkeypatch):
    monkeypatch.setattr("vitbench.devices.cpu.Rapl", lambda: Rapl(tmp_path))
    assert Meter("cpu").counter is not None
    meter = Meter(device)
    assert meter.counter is None
    assert f"{device.partition(':')[0]!r}" in meter.reason
    assert device_of("cpu").energy_counter().read() == [1.0, 2.0, 3.0]


def test_joules_an_image(xeon, tmp_path):
    """Ten joules in two seconds at 50 images a second: a tenth of a joule an image."""
    meter = Meter(find=lambda: Rapl(tmp_path))
    meter.windows["a"] = [(Energy(10.0, 2.0, "RAPL"), 50.0), (Energy(20.0, 2.5, "RAPL"), 40.0)]
    meter.windows["b"] = [(Energy(10.0, 2.0, "RAPL"), 50.0), (Energy(None, 1.0, "RAPL", "too short"), 40.0)]
    assert meter.per_image("a") == ([0.1, 0.2], {"source": "RAPL"})
    assert meter.per_image("b") == ([], {"reason": "too short"})


def test_throughput_records_every_window_under_its_name(xeon, tmp_path):
    """A counter that gains 3 J per reading, and a clock by which every window is 2 s: 3 J over rate × 2 s images."""

    class Steady(Rapl):
        joules = 0.0

        def read(self):
            self.joules += 3.0
            return [self.joules, 0.0, 0.0]

    class Fixed(Meter):
        def begin(self):
            super().begin(clock(10.0))

        def end(self):
            return super().end(clock(12.0))

    meter = Fixed(find=lambda: Steady(tmp_path))
    subjects = {name: Subject(nn.Linear(3, 3), torch.zeros(8, 3)) for name in ("a", "b")}
    rates = measure(subjects, window_s=0.01, windows=2, meter=meter)
    for name in subjects:
        joules, said = meter.per_image(name)
        assert joules == pytest.approx([3.0 / (rate * 2.0) for rate in rates[name]])
        assert said == {"source": "RAPL (package-0, dram, package-1)"}
