"""The libraries whose versions decide a figure's bytes, noted beside the report."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping
from pathlib import Path

DRAWN_WITH = "drawn_with.json"
"""The note's name, beside the report."""

DRAWING = ("matplotlib", "seaborn", "numpy", "scipy", "pandas", "pillow")


def here() -> dict[str, str]:
    """Name → version of those that are installed, and of the font engine inside matplotlib."""
    from matplotlib import ft2font

    found = {name: importlib.metadata.version(name) for name in DRAWING}
    return {**found, "freetype": str(ft2font.__freetype_version__)}


def note(folder: Path) -> None:
    """Writes the note into the folder of the report."""
    (folder / DRAWN_WITH).write_text(json.dumps(here(), indent=2) + "\n", encoding="utf-8", newline="\n")


def noted(folder: Path) -> dict[str, str] | None:
    """What the note in a folder says; nothing where there is none that can be read."""
    try:
        found = json.loads((folder / DRAWN_WITH).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else None


def apart(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Which of them differ, in words."""
    names = [name for name in now if then.get(name) != now[name]]
    return ", ".join(f"{name} {then.get(name, 'unknown')} (here {now[name]})" for name in names)
