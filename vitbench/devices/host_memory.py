"""How large this machine's caches and its free memory are, by what the kernel says. Linux; elsewhere a guess."""

from __future__ import annotations

from pathlib import Path


def last_level_cache(root: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> int | None:
    """Bytes of the largest cache that the first core sees; None: not available here."""
    units = {"K": 2**10, "M": 2**20, "G": 2**30}
    found = []
    for path in root.glob("index*/size"):
        text = path.read_text().strip()
        found.append(int(text.rstrip("KMG")) * units.get(text[-1:], 1))
    return max(found, default=None)


def free_memory(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """Bytes that a process could have without swapping; None where nothing says it."""
    try:
        line = next(line for line in meminfo.read_text().splitlines() if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return None
    return int(line.split()[1]) * 1024


def available_memory(meminfo: Path = Path("/proc/meminfo")) -> int:
    """The same; where nothing says it, as if there were 2 GiB."""
    free = free_memory(meminfo)
    return 2**31 if free is None else free
