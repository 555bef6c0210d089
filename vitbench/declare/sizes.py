"""Image and patch sizes in pixels, and arithmetic with them."""

from __future__ import annotations

from typing import TypeAlias

Size: TypeAlias = int | tuple[int, int]
"""A side in pixels of a square, or (height, width)."""


def as_pair(size: Size) -> tuple[int, int]:
    """``8`` → ``(8, 8)``."""
    return (size, size) if isinstance(size, int) else size


def divisors(number: int) -> list[int]:
    return [i for i in range(1, number + 1) if number % i == 0]


def scaled(side: int, scale: float) -> int:
    """The side of an image ``scale`` times as large: rounded, at least a pixel."""
    return max(1, round(side * scale))
