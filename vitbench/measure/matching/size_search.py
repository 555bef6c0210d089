"""The search for a cost among the sizes of a config. Every cost rises with every size."""

from __future__ import annotations

import bisect
import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from vitbench.declare.model import ModelConfig
from vitbench.measure.matching.size_candidates import at
from vitbench.models.size_candidates import SizeCandidates

Cost: TypeAlias = Callable[[ModelConfig], float]


class Search:
    """Searches a config's sizes for a cost; the cost of each size is computed once."""

    def __init__(self, config: ModelConfig, candidates: Sequence[SizeCandidates], cost: Cost) -> None:
        self.config, self.candidates, self.cost = config, candidates, functools.cache(cost)
        self.seen: set[ModelConfig] = set()

    @property
    def tried(self) -> int:
        return len(self.seen)

    def nearest(self, target: float, tolerance: float) -> ModelConfig:
        """The first config within the tolerance, in the order in which the settings give way, or the nearest of all."""
        first, *later = self.candidates
        best, smallest_miss = self.config, math.inf
        for number, sizes in enumerate(_outward(later)):
            fixed = list(zip(later, sizes, strict=True))
            for size in self._around(first, fixed, target):
                candidate = at(self.config, [(first, size), *fixed])
                miss = abs(self._cost(candidate) / target - 1)
                if miss < smallest_miss:
                    best, smallest_miss = candidate, miss
            if smallest_miss <= tolerance:
                break
            if not number and (end := self._end(target)) is not None:
                return end
        return best

    def _end(self, target: float) -> ModelConfig | None:
        """The smallest or largest config of all, where the target lies beyond it; else None."""
        smallest, largest = (at(self.config, [(one, one.sizes[end]) for one in self.candidates]) for end in (0, -1))
        if self._cost(smallest) >= target:
            return smallest
        return largest if self._cost(largest) <= target else None

    def _cost(self, config: ModelConfig) -> float:
        self.seen.add(config)
        return self.cost(config)

    def _around(self, varied: SizeCandidates, fixed: list[tuple[SizeCandidates, int]], target: float) -> Iterator[int]:
        """The two sizes next to the target: the last below it and the first that is not; only one at an end.

        Interpolates between logarithms, because costs are nearly powers of a size; every third step bisects, so that an
        irregular cost cannot make the search slow.
        """
        sizes = varied.sizes
        low, high = -1, len(sizes)  # indices below the target and not below it; none known yet
        costs: dict[int, float] = {}
        guess = sizes.index(varied.own) if varied.own in sizes else len(sizes) // 2
        for turn in itertools.count(1):
            costs[guess] = self._cost(at(self.config, [(varied, sizes[guess]), *fixed]))
            low, high = (guess, high) if costs[guess] < target else (low, guess)
            if high - low <= 1:
                break
            guess = min(max(_guess(sizes, costs, (low, high), target, turn), low + 1), high - 1)
        yield from (sizes[index] for index in (low, high) if 0 <= index < len(sizes))


def _guess(sizes: Sequence[int], costs: dict[int, float], ends: tuple[int, int], target: float, turn: int) -> int:
    """The index to try next; it may lie outside the range."""
    low, high = ends
    if low < 0 or high == len(sizes):  # one end is not known yet: extrapolate by a square, the usual power of a width
        known = high if low < 0 else low
        power = 0.5 if turn < 4 else 1.0
        wanted = math.log(sizes[known]) + power * math.log(target / costs[known])
    elif turn % 3 == 0:
        return (low + high) // 2
    else:
        rise = math.log(costs[high] / costs[low])
        share = math.log(target / costs[low]) / rise if rise > 0 else 0.5
        wanted = math.log(sizes[low]) + share * math.log(sizes[high] / sizes[low])
    return bisect.bisect_left(sizes, math.exp(min(wanted, 60.0)))


def _outward(later: Sequence[SizeCandidates]) -> list[tuple[int, ...]]:
    """All combinations of the later settings' sizes, the config's own first, then by their distance from it."""

    def distance(sizes: tuple[int, ...]) -> tuple[float, tuple[int, ...]]:
        return sum(one.distance(size) for one, size in zip(later, sizes, strict=True)), sizes

    return sorted(itertools.product(*(one.sizes for one in later)), key=distance)
