"""What the system reports: a made /proc and /sys tree, and made processes."""

from types import SimpleNamespace

import psutil
import pytest

from vitbench.doctor import readings
from vitbench.doctor.readings import Monitor, System


def process(pid, name, seconds, *, command="", began=100.0):
    times = None if seconds is None else SimpleNamespace(user=seconds * 2 / 3, system=seconds / 3)
    info = {"name": name, "cmdline": command.split(), "cpu_times": times, "create_time": began}
    return SimpleNamespace(pid=pid, info=info)


BEFORE = [
    process(1, "init", 500.0),
    process(20, "python3", 10.0, command="python3 -u train.py --epochs 9"),
    process(21, "python3", 10.0, command="python3 -m pytest -q"),
    process(22, "python3", 10.0, command="python3 -c print(1)"),
    process(30, "encoder", 3.0),
    process(40, "recycled", 900.0),
    process(99, "myself", 1.0),
]
AFTER = [
    process(1, "init", 500.01),
    process(20, "python3", 11.6, command="python3 -u train.py --epochs 9"),
    process(21, "python3", 11.0, command="python3 -m pytest -q"),
    process(22, "python3", 10.5, command="python3 -c print(1)"),
    process(30, "encoder", 4.2),
    process(40, "recycled", 0.2, began=900.0),  # another process with the same number
    process(50, "new", 0.6, began=950.0),
    process(60, "forbidden", None),
    process(99, "myself", 3.0),
]


def test_other_processes_are_known_from_two_readings(monkeypatch):
    monkeypatch.setattr(readings.os, "getpid", lambda: 99)
    lists = iter([BEFORE, AFTER])
    monkeypatch.setattr(psutil, "process_iter", lambda _: next(lists))
    found = readings.busy(readings.usage(), readings.usage(), seconds=2.0)
    assert [(p.pid, p.name, round(p.share, 2)) for p in found] == [
        (20, "python3 train.py", 0.8),
        (30, "encoder", 0.6),
        (21, "python3 -m pytest", 0.5),
        (50, "new", 0.3),
        (22, "python3 -c …", 0.25),
        (40, "recycled", 0.1),
    ]


def write(root, path, text):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


@pytest.fixture
def psutil_says(monkeypatch):
    def says(*, cores, physical, available, plugged):
        monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: cores if logical else physical)
        monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=available, total=1000))
        battery = None if plugged is None else SimpleNamespace(power_plugged=plugged)
        monkeypatch.setattr(psutil, "sensors_battery", lambda: battery, raising=False)

    return says


def test_a_made_system(tmp_path, psutil_says):
    psutil_says(cores=8, physical=4, available=250, plugged=False)
    write(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n")
    write(tmp_path, "sys/fs/cgroup/cpu.max", "150000 100000\n")
    write(tmp_path, "sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n")
    environment = {"LD_PRELOAD": "/usr/lib/libjemalloc.so.2", "OMP_NUM_THREADS": "2", "HOME": "/"}
    assert readings.system(tmp_path, environment) == System(
        "powersave", 1.5, True, False, 0.25, "madvise", "jemalloc", {"OMP_NUM_THREADS": "2"}
    )


def test_a_system_that_reports_nothing(tmp_path, psutil_says):
    psutil_says(cores=8, physical=None, available=500, plugged=None)
    assert readings.system(tmp_path, {}) == System(None, None, None, None, 0.5, None, "the C library's", {})
    assert readings.clock(tmp_path).source is None
    found = Monitor(tmp_path).activity()
    assert found.migrations is found.throttled is None


def test_counters_are_differences(tmp_path):
    write(tmp_path, "proc/self/sched", "python (1, #threads: 1)\nse.nr_migrations     :      17\n")
    write(tmp_path, "sys/fs/cgroup/cpu.stat", "usage_usec 5\nnr_periods 9\nnr_throttled 4\n")
    monitor = Monitor(tmp_path)
    write(tmp_path, "proc/self/sched", "python (1, #threads: 1)\nse.nr_migrations     :      20\n")
    write(tmp_path, "sys/fs/cgroup/cpu.stat", "usage_usec 5\nnr_periods 9\nnr_throttled 9\n")
    found = monitor.activity()
    assert (found.migrations, found.throttled) == (3, 5)
    assert found.seconds > 0


def test_the_clock(tmp_path):
    write(tmp_path, "sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n")
    found = readings.clock(tmp_path)
    assert found.source == "hpet"
    assert 0 < found.step_s < 1
    assert 0 < found.cost_s < 1
