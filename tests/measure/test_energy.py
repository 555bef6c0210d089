"""Counters of energy: a made sysfs tree and a made NVML, whose joules are known."""

import ctypes

import pytest

from vitbench.measure.energy import Energy, Meter, NoCounterError, Nvml, Rapl

RANGE = 262_143_328_850  # microjoules, as a Xeon says it


def zone(root, name, what, microjoules, span=RANGE):
    place = root / name
    place.mkdir()
    (place / "name").write_text(what + "\n")
    (place / "energy_uj").write_text(f"{microjoules}\n")
    (place / "max_energy_range_uj").write_text(f"{span}\n")
    return place / "energy_uj"


@pytest.fixture
def xeon(tmp_path):
    """Two packages, their cores, the memory of one, and the whole platform, which would count all of it again."""
    return {
        "package-0": zone(tmp_path, "intel-rapl:0", "package-0", 1_000_000),
        "core": zone(tmp_path, "intel-rapl:0:0", "core", 500_000),
        "dram": zone(tmp_path, "intel-rapl:0:1", "dram", 2_000_000),
        "package-1": zone(tmp_path, "intel-rapl:1", "package-1", 3_000_000),
        "psys": zone(tmp_path, "intel-rapl:2", "psys", 9_000_000),
    }


def clock(*times):
    given = iter(times)
    return lambda: next(given)


def test_packages_and_their_memory_are_counted_once(xeon, tmp_path):
    meter = Meter(find=lambda _: Rapl(tmp_path))
    assert meter.counter.source == "RAPL (package-0, dram, package-1)"
    meter.begin(clock(10.0))
    for name, microjoules in {"package-0": 41e6, "dram": 7e6, "package-1": 13e6, "core": 90e6, "psys": 99e6}.items():
        xeon[name].write_text(str(int(microjoules)))
    assert meter.end(clock(12.5)) == Energy(40.0 + 5.0 + 10.0, 2.5, meter.counter.source)


def test_a_counter_that_begins_again_goes_on(xeon, tmp_path):
    rapl = Rapl(tmp_path)
    xeon["package-0"].write_text(str(RANGE - 4_000_000))
    before = rapl.read()
    xeon["package-0"].write_text("6000000")
    assert rapl.since(before, rapl.read()) == pytest.approx(10.0)


def test_a_counter_that_may_have_gone_round_twice_is_not_believed(tmp_path):
    zone(tmp_path, "intel-rapl:0", "package-0", 5, span=65_000_000_000)
    meter = Meter(find=lambda _: Rapl(tmp_path))
    meter.begin(clock(0.0))
    found = meter.end(clock(66.0))
    assert (found.joules, found.reason) == (None, "the counter may have gone round twice in 66 s")


@pytest.mark.parametrize(
    ("seconds", "microjoules", "reason"),
    [(1.5, 9_000_000, "a window of 1.5 s is too short, it takes 2 s or more"), (2.5, 1_000_000, "did not move in 2.5")],
)
def test_what_is_no_measurement_is_none_and_says_why(xeon, tmp_path, seconds, microjoules, reason):
    meter = Meter(find=lambda _: Rapl(tmp_path))
    meter.begin(clock(0.0))
    xeon["package-0"].write_text(str(microjoules))
    found = meter.end(clock(seconds))
    assert found.joules is None
    assert reason in found.reason


def test_a_machine_without_a_counter_says_so(tmp_path):
    def find(_):
        return Rapl(tmp_path)

    meter = Meter(find=find)
    meter.begin()
    found = meter.end()
    assert (found.joules, found.reason) == (
        None,
        f"this machine shows no energy counter: no intel-rapl package in {tmp_path}",
    )
    assert meter.per_image("a") == ([], {"reason": found.reason})


def test_a_counter_for_root_only_says_who_may_change_that(xeon, tmp_path, monkeypatch):
    def refuse(self, *_, **__):
        if self.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return read(self)

    path = type(tmp_path)
    read = path.read_text
    monkeypatch.setattr(path, "read_text", refuse)
    with pytest.raises(NoCounterError, match=r"intel-rapl:0/energy_uj may be read by root only: `sudo chmod a\+r"):
        Rapl(tmp_path).read()


def test_a_counter_that_vanishes_ends_in_a_reason(xeon, tmp_path):
    meter = Meter(find=lambda _: Rapl(tmp_path))
    meter.begin()
    xeon["dram"].unlink()
    found = meter.end()
    assert found.joules is None
    assert "cannot be read: No such file" in found.reason


def test_joules_an_image(xeon, tmp_path):
    """Ten joules in two seconds at 50 images a second: a tenth of a joule an image."""
    meter = Meter(find=lambda _: Rapl(tmp_path))
    meter.windows["a"] = [(Energy(10.0, 2.0, "RAPL"), 50.0), (Energy(20.0, 2.5, "RAPL"), 40.0)]
    meter.windows["b"] = [(Energy(10.0, 2.0, "RAPL"), 50.0), (Energy(None, 1.0, "RAPL", "too short"), 40.0)]
    assert meter.per_image("a") == ([0.1, 0.2], {"source": "RAPL"})
    assert meter.per_image("b") == ([], {"reason": "too short"})


class Driver:
    """NVML with one card."""

    def __init__(self, **codes):
        self.codes, self.millijoules = codes, 7_000

    def nvmlInit_v2(self):
        return self.codes.get("init", 0)

    def nvmlDeviceGetHandleByUUID(self, uuid, handle):
        ctypes.cast(handle, ctypes.POINTER(ctypes.c_void_p))[0] = 42
        return 0 if uuid == b"GPU-1" else 6

    def nvmlDeviceGetTotalEnergyConsumption(self, handle, out):
        assert handle.value == 42
        ctypes.cast(out, ctypes.POINTER(ctypes.c_ulonglong))[0] = self.millijoules
        return self.codes.get("energy", 0)


def test_nvml_counts_millijoules():
    driver = Driver()
    meter = Meter("cuda", find=lambda _: Nvml(driver, "GPU-1"))
    meter.begin(clock(0.0))
    driver.millijoules = 707_000
    assert meter.end(clock(2.0)) == Energy(700.0, 2.0, "NVML total energy (GPU-1)")


@pytest.mark.parametrize(
    ("driver", "uuid", "said"),
    [
        (Driver(init=9), "GPU-1", "nvmlInit_v2 failed: NVML error 9"),
        (Driver(), "GPU-2", "nvmlDeviceGetHandleByUUID failed: no such card"),
        (Driver(energy=3), "GPU-1", "nvmlDeviceGetTotalEnergyConsumption failed: this card has no such counter"),
    ],
)
def test_nvml_that_does_not_answer(driver, uuid, said):
    with pytest.raises(NoCounterError, match=said):
        Nvml(driver, uuid).read()


def test_throughput_notes_every_window_under_its_name(xeon, tmp_path):
    """A counter that goes on by 3 J a reading, and a clock by which every window is 2 s: 3 J over rate × 2 s images."""
    import torch
    from torch import nn

    from vitbench.measure.timing.subject import Subject
    from vitbench.measure.timing.throughput import measure

    class Steady(Rapl):
        joules = 0.0

        def read(self):
            self.joules += 3.0
            return [self.joules, 0.0, 0.0]

    class Ours(Meter):
        def begin(self):
            super().begin(clock(10.0))

        def end(self):
            return super().end(clock(12.0))

    meter = Ours(find=lambda _: Steady(tmp_path))
    subjects = {name: Subject(nn.Linear(3, 3), torch.zeros(8, 3)) for name in ("a", "b")}
    rates = measure(subjects, window_s=0.01, windows=2, meter=meter)
    for name in subjects:
        joules, said = meter.per_image(name)
        assert joules == pytest.approx([3.0 / (rate * 2.0) for rate in rates[name]])
        assert said == {"source": "RAPL (package-0, dram, package-1)"}
