"""Numbers and words as readers see them; a missing value is a dash."""

from __future__ import annotations

import math
from typing import Any

MISSING = "–"


def absent(value: Any) -> bool:
    """Whether a value is missing: None, NaN or pandas' NA, which is not imported for it."""
    return value is None or type(value).__name__ == "NAType" or (isinstance(value, float) and math.isnan(value))


def text(value: Any) -> str:
    """A value as a word: a size as ``4×8``, a float without trailing zeros."""
    if absent(value):
        return MISSING
    if isinstance(value, (list, tuple)):
        return "×".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def significant(value: float, digits: int = 3) -> str:
    """A number with ``digits`` significant digits and no exponent: ``0.0123``, ``12.3``, ``1 230``."""
    if absent(value):
        return MISSING
    if value == 0:
        return "0"
    rounded = abs(float(f"{value:.{digits - 1}e}"))  # .9996 takes as many places as 1.00
    places = max(0, digits - 1 - math.floor(math.log10(rounded)))
    shown = f"{value:,.{places}f}"
    return shown.replace(",", "\N{NARROW NO-BREAK SPACE}")


def si(value: float) -> str:
    """A number with three significant digits and an SI prefix: ``86.6 M``."""
    if absent(value):
        return MISSING
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor * 0.9995:
            return f"{significant(value / factor)}\N{NARROW NO-BREAK SPACE}{prefix}"
    return significant(value) if value != int(value) else str(int(value))


def percent(value: float) -> str:
    """A fraction as a percentage with one decimal, without the sign."""
    return MISSING if absent(value) else f"{100 * value:.1f}"


def points(value: float) -> str:
    """A difference of fractions in percentage points with its sign: ``+0.6``, ``−1.2``, ``0.0``."""
    if absent(value):
        return MISSING
    shown = f"{100 * abs(value):.1f}"
    return shown if not float(shown) else ("+" if value > 0 else "−") + shown


def ratio(value: float) -> str:
    return MISSING if absent(value) else f"{value:.3f}"


def count(value: float) -> str:
    return MISSING if absent(value) else str(int(value))
