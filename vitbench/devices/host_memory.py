"""Sizes of the host's memory and of its caches."""

from __future__ import annotations

from pathlib import Path

import psutil


def free_memory() -> int:
    """Bytes that a process can allocate without swapping."""
    return int(psutil.virtual_memory().available)


def last_level_cache(root: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> int | None:
    """Bytes of the largest cache of the first core; None where the kernel does not report it."""
    units = {"K": 2**10, "M": 2**20, "G": 2**30}
    sizes = [path.read_text().strip() for path in root.glob("index*/size")]
    return max((int(size.rstrip("KMG")) * units.get(size[-1:], 1) for size in sizes), default=None)
