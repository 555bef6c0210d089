"""``Planned``: a variant as the plan record declares it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A variant as the plan declares it.

    Attributes:
        curve: common name of the variants that differ only in the number of training images.
        images: the number of training images, if the plan gives it.
        origin: label of the folder it comes from, if that folder is shown beside the first; empty for merged folders.
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
