"""The facts about this machine and this code that are stored with records. Unknown facts are "not available"."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

import vitbench
from vitbench.devices.host_files import read_text
from vitbench.records.identity import VERSIONS
from vitbench.records.record import Environment

PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "fvcore", "pillow", "timm", "torchvision")
"""Packages whose version can change a measured number."""

UNKNOWN = "not available"

GOVERNOR = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"

KEEP_MEMORY = {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=17179869184"}
"""The environment of workers, in which glibc returns no memory to the system.

Otherwise the large tensors of every call are mapped again, page by page, at a varying cost: large training steps differ
by 10 % between blocks, with this setting by 2 %. glibc reads it once, when a process starts, so it belongs into the
environment of the fork server."""


def environment(torch_facts: Mapping[str, Any], *, threads: int) -> Environment:
    """The facts that do not change while this machine measures.

    Args:
        torch_facts: the facts about torch, and about the GPU if one is used; they come from a process with torch.
        threads: number of threads of numerical libraries in a timed process.
    """
    cpu = _cpuinfo()
    return Environment(
        {
            "host": socket.gethostname(),
            "system": platform.platform(),
            "python": platform.python_version(),
            "packages": {name: version for name in PACKAGES if (version := _version(name))},
            "cpu": {
                "model": cpu.get("model name", platform.processor() or UNKNOWN),
                "cores": psutil.cpu_count(),
                "affinity": affinity() or UNKNOWN,
                "governor": read_text(GOVERNOR) or UNKNOWN,
                "hypervisor": _hypervisor(cpu),
                "memory_mib": psutil.virtual_memory().total // 2**20,
            },
            "threads": threads,
            "allocator": os.environ.get("GLIBC_TUNABLES") or KEEP_MEMORY["GLIBC_TUNABLES"],
            "torch": dict(torch_facts),
        }
    )


def code() -> dict[str, Any]:
    """The commit, whether the working tree differs from it, and the versions of the components that measure."""
    root = Path(vitbench.__file__).parent.parent
    commit: str | None = None
    dirty: bool | None = None
    git = shutil.which("git")
    if git and (root / ".git").exists():  # an installed package must not report the repository that contains its venv
        commit = _run(git, "-C", str(root), "rev-parse", "HEAD") or None
        changes = _run(git, "-C", str(root), "status", "--porcelain", "--", "vitbench", "ablations")  # not the results
        dirty = bool(changes) if commit else None
    return {"vitbench": vitbench.__version__, "commit": commit, "dirty": dirty, "components": dict(VERSIONS)}


def conditions() -> dict[str, Any]:
    """How busy the machine is now: load averages and CPU pressure."""
    pressure = read_text("/proc/pressure/cpu") or UNKNOWN
    return {"load": list(psutil.getloadavg()), "cpu_pressure": pressure.partition("\n")[0]}


def affinity() -> list[int]:
    """The cores that this process may use, sorted; empty where the system does not restrict processes to cores."""
    return sorted(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else []


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpuinfo() -> dict[str, str]:
    """The entries of the first processor in /proc/cpuinfo."""
    first = (read_text("/proc/cpuinfo") or "").partition("\n\n")[0]
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}


def _hypervisor(cpu: Mapping[str, str]) -> str:
    if "hypervisor" not in cpu.get("flags", "").split():
        return "none seen"
    return f"yes ({read_text('/sys/class/dmi/id/sys_vendor') or UNKNOWN})"


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)  # noqa: S603  # fixed arguments
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
