"""Files in which the kernel publishes facts about the host that psutil does not know."""

from __future__ import annotations

from pathlib import Path


def read_text(path: str | Path) -> str | None:
    """The stripped text of a file such as ``/proc/pressure/cpu``; None if it is missing, unreadable or empty."""
    try:
        return Path(path).read_text(errors="replace").strip() or None
    except OSError:
        return None
