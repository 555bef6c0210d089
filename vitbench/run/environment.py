"""This machine and this code, as provenance. What cannot be found out here is "not available"."""

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

import vitbench
from vitbench.records.identity import VERSIONS
from vitbench.records.record import Environment

PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "fvcore", "pillow", "timm", "torchvision")
"""Whose version can move a measured number."""

UNKNOWN = "not available"

KEEP_MEMORY = {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=17179869184"}
"""For workers: glibc gives no memory back to the system. Otherwise the large tensors of every call are mapped anew,
page by page, and what that costs varies: between blocks of large training steps by 10 %, with this by 2 %. It is read
once, when a process starts, so it stands in the environment of the fork server."""


def environment(torch_facts: Mapping[str, Any], *, threads: int) -> Environment:
    """What stays the same while this machine measures.

    Args:
        torch_facts: what ``surveying`` found out about torch, and the GPU if one is used; this process has no torch.
        threads: of numerical libraries in a timed process.
    """
    return Environment(
        {
            "host": socket.gethostname(),
            "system": platform.platform(),
            "python": platform.python_version(),
            "packages": {name: version for name in PACKAGES if (version := _version(name))},
            "cpu": {
                "model": _cpuinfo().get("model name", platform.processor() or UNKNOWN),
                "cores": os.cpu_count(),
                "affinity": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else UNKNOWN,
                "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
                "hypervisor": _hypervisor(),
                "memory_mib": _memory_mib(),
            },
            "threads": threads,
            "allocator": os.environ.get("GLIBC_TUNABLES") or KEEP_MEMORY["GLIBC_TUNABLES"],
            "torch": dict(torch_facts),
        }
    )


def code() -> dict[str, Any]:
    """Commit, whether the tree differs from it, and the versions of the components."""
    root = Path(vitbench.__file__).parent.parent
    commit: str | None = None
    dirty: bool | None = None
    git = shutil.which("git")
    if git and (root / ".git").exists():  # an installed package must not report the repository that its venv lies in
        commit = _run(git, "-C", str(root), "rev-parse", "HEAD") or None
        changes = _run(git, "-C", str(root), "status", "--porcelain", "--", "vitbench", "ablations")  # not its results
        dirty = bool(changes) if commit else None
    return {"vitbench": vitbench.__version__, "commit": commit, "dirty": dirty, "components": dict(VERSIONS)}


def conditions() -> dict[str, Any]:
    """How busy the machine is now: load, and pressure-stall information."""
    pressure = _read("/proc/pressure/cpu")
    return {
        "load": list(os.getloadavg()) if hasattr(os, "getloadavg") else UNKNOWN,
        "cpu_pressure": pressure.splitlines()[0] if pressure != UNKNOWN else UNKNOWN,
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip() or UNKNOWN
    except OSError:
        return UNKNOWN


def _cpuinfo() -> dict[str, str]:
    """The first processor's entries."""
    first = _read("/proc/cpuinfo").partition("\n\n")[0]
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}


def _hypervisor() -> str:
    if "hypervisor" not in _cpuinfo().get("flags", "").split():
        return "none seen"
    return f"yes ({_read('/sys/class/dmi/id/sys_vendor')})"


def _memory_mib() -> int | str:
    total = next((line for line in _read("/proc/meminfo").splitlines() if line.startswith("MemTotal")), "")
    return int(total.split()[1]) // 1024 if total else UNKNOWN


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)  # noqa: S603  # our words
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
