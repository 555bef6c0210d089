"""``Planned``: a variant as the plan record declares it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A variant as the plan declares it.

    Attributes:
        curve: what the rows are called together that differ in nothing but their training images.
        images: how many those are, where the plan says it.
        origin: which folder it is of, where folders that cannot be merged stand side by side; none is the first.
    """

    name: str
    axes: Mapping[str, Any]
    family: str
    is_baseline: bool
    is_reference: bool
    config: Mapping[str, Any] | None
    reason: str | None  # why it cannot be built
    curve: str = ""
    images: int | None = None
    origin: str = ""
