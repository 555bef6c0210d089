"""Provenance: what a record needs to be understood elsewhere, and nothing that changes from minute to minute."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vitbench.records.identity import VERSIONS, digest
from vitbench.run import environment
from vitbench.utils import threads


def test_the_environment_is_stable_and_complete():
    one, two = (environment.environment({"version": "2"}, threads=1) for _ in range(2))
    assert one.hash == two.hash == digest(one.body, 16)
    assert one.hash != environment.environment({"version": "2"}, threads=2).hash
    cpu = one.body["cpu"]
    assert cpu["cores"] == os.cpu_count()
    assert len(cpu["affinity"]) == threads.cores()
    assert {"model", "governor", "hypervisor", "memory_mib"} <= cpu.keys()
    assert {"torch", "numpy"} <= one.body["packages"].keys()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_processors_facts_are_the_kernels():
    cpu = environment.environment({}, threads=1).body["cpu"]
    total_kib = int(Path("/proc/meminfo").read_text().split()[1])
    assert cpu["memory_mib"] == total_kib // 1024
    assert cpu["affinity"] == sorted(os.sched_getaffinity(0))
    assert cpu["model"] in Path("/proc/cpuinfo").read_text()


def test_what_the_system_does_not_report_is_not_available(monkeypatch):
    monkeypatch.setattr(environment, "read_text", lambda _: None)
    monkeypatch.setattr(environment, "affinity", list)
    cpu = environment.environment({}, threads=1).body["cpu"]
    assert cpu["governor"] == cpu["affinity"] == environment.UNKNOWN
    assert cpu["hypervisor"] == "none seen"
    assert environment.conditions()["cpu_pressure"] == environment.UNKNOWN


def test_what_changes_stands_apart():
    assert len(environment.conditions()["load"]) == 3


def test_the_commit_is_that_of_this_tree_or_none():
    code = environment.code()
    root = Path(environment.__file__).parents[2]
    head = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    assert code["commit"] == (head.stdout.strip() if head.returncode == 0 and (root / ".git").exists() else None)
    assert code["components"] == VERSIONS


def test_an_installed_package_reports_no_commit(monkeypatch, tmp_path):
    monkeypatch.setattr("vitbench.__file__", str(tmp_path / "vitbench" / "__init__.py"))
    assert environment.code()["commit"] is None


def test_the_scheduler_needs_neither_torch_nor_pandas():
    code = """
import sys
import vitbench.records.reader, vitbench.run.entry_points, vitbench.run.measuring_functions, vitbench.run.progress.view
assert not {"torch", "pandas", "scipy", "sklearn"} & sys.modules.keys(), sorted(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
