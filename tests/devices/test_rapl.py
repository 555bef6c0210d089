"""The processor's energy counter: a made sysfs tree whose joules are known."""

import pytest

from tests.support.rapl import RANGE_UJ, zone
from vitbench.devices import NotAvailableError
from vitbench.devices.rapl import Rapl


def test_packages_and_their_memory_are_counted_once(xeon, tmp_path):
    rapl = Rapl(tmp_path)
    assert rapl.source == "RAPL (package-0, dram, package-1)"
    before = rapl.read()
    for name, microjoules in {"package-0": 41e6, "dram": 7e6, "package-1": 13e6, "core": 90e6, "psys": 99e6}.items():
        xeon[name].write_text(str(int(microjoules)))
    assert rapl.joules_between(before, rapl.read()) == pytest.approx(40.0 + 5.0 + 10.0)


def test_a_counter_that_wrapped_around_once_continues(xeon, tmp_path):
    rapl = Rapl(tmp_path)
    xeon["package-0"].write_text(str(RANGE_UJ - 4_000_000))
    before = rapl.read()
    xeon["package-0"].write_text("6000000")
    assert rapl.joules_between(before, rapl.read()) == pytest.approx(10.0)


def test_the_longest_window_is_the_smallest_range_at_a_kilowatt(tmp_path):
    zone(tmp_path, "intel-rapl:0", "package-0", 5, span=65_000_000_000)
    zone(tmp_path, "intel-rapl:1", "package-1", 5)
    assert Rapl(tmp_path).max_window_s == pytest.approx(65.0)


def test_a_machine_without_a_counter_has_a_reason(tmp_path):
    with pytest.raises(NotAvailableError, match=f"{tmp_path} contains no intel-rapl package"):
        Rapl(tmp_path)


def test_a_counter_that_only_root_may_read_says_how_to_change_that(xeon, tmp_path, monkeypatch):
    def refuse(self, *_, **__):
        if self.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return read(self)

    path = type(tmp_path)
    read = path.read_text
    monkeypatch.setattr(path, "read_text", refuse)
    with pytest.raises(NotAvailableError, match=r"intel-rapl:0/energy_uj; `sudo chmod a\+r"):
        Rapl(tmp_path)


def test_a_counter_that_vanishes_has_a_reason(xeon, tmp_path):
    rapl = Rapl(tmp_path)
    xeon["dram"].unlink()
    with pytest.raises(NotAvailableError, match="cannot be read: No such file"):
        rapl.read()
