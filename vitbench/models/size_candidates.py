"""Size candidates: the sizes that one setting of a model can take while the model stays one of its family. No torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vitbench.declare.model import ModelConfig

WIDEST, DEEPEST = 16, 4
"""Candidates go up to this many times the model's own width or depth, and down to the smallest that exists."""

FEWEST_DEPTHS = 24
"""Even a model of one block may grow to this depth."""


@dataclass(frozen=True)
class SizeCandidates:
    """What one setting can be changed to: ``sizes`` in rising order, one of which is the config's own."""

    name: str
    sizes: tuple[int, ...]
    own: int
    fields: Callable[[int], dict[str, Any]]  # size → the config's fields

    def distance(self, size: int) -> float:
        """How far a size is from the config's own, as the logarithm of their ratio, either way."""
        return abs(math.log(size / self.own))


@dataclass(frozen=True)
class Sizes:
    """How the models of a family grow and shrink.

    Attributes:
        usual: the settings that vary where none is named, the first to give way first.
        candidates: setting → config → its size candidates.
        blocks: config → blocks in each stage, where every block after a stage's first has the same parameters.
        with_blocks: config, blocks in each stage → config.
    """

    usual: tuple[str, ...]
    candidates: Mapping[str, Callable[[Any], SizeCandidates]]
    blocks: Callable[[Any], tuple[int, ...]] | None = None
    with_blocks: Callable[[Any, tuple[int, ...]], ModelConfig] | None = None


def widths(own: int, step: int) -> tuple[int, ...]:
    """Multiples of ``step`` up to the widest candidate."""
    return tuple(range(step, WIDEST * own + 1, step))


def depths(own: int, fewest: int = 1) -> tuple[int, ...]:
    """Numbers of blocks from ``fewest`` to the deepest candidate."""
    return tuple(range(fewest, max(DEEPEST * own, FEWEST_DEPTHS) + 1))
