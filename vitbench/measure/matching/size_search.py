"""The search for a cost among the sizes of a config. Every cost rises with every knob."""

from __future__ import annotations

import bisect
import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from vitbench.measure.matching.size_candidates import Ladder, Sized, at

Cost: TypeAlias = Callable[[Sized], float]


class Search:
    """Looks for a cost among a config's sizes; every cost is asked for once."""

    def __init__(self, config: Sized, steps: Sequence[Ladder], cost: Cost) -> None:
        self.config, self.steps, self.cost = config, steps, functools.cache(cost)
        self.seen: set[Sized] = set()

    @property
    def tried(self) -> int:
        return len(self.seen)

    def nearest(self, target: float, tolerance: float) -> Sized:
        """The first config within the tolerance, in the order in which the knobs give way, or the nearest of all."""
        first, *later = self.steps
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

    def _end(self, target: float) -> Sized | None:
        """The smallest or largest config of all, where the target lies beyond."""
        smallest, largest = (at(self.config, [(step, step.sizes[end]) for step in self.steps]) for end in (0, -1))
        if self._cost(smallest) >= target:
            return smallest
        return largest if self._cost(largest) <= target else None

    def _cost(self, config: Sized) -> float:
        self.seen.add(config)
        return self.cost(config)

    def _around(self, ladder: Ladder, fixed: list[tuple[Ladder, int]], target: float) -> Iterator[int]:
        """The sizes next to the target: the last one below, and the first that is not. One, at an end.

        Interpolates between logarithms, as costs are nearly powers of a size; every third step halves, so that an odd
        cost cannot make it crawl.
        """
        sizes = ladder.sizes
        low, high = -1, len(sizes)  # below the target; not below. No size yet
        costs: dict[int, float] = {}
        guess = sizes.index(ladder.own) if ladder.own in sizes else len(sizes) // 2
        for turn in itertools.count(1):
            costs[guess] = self._cost(at(self.config, [(ladder, sizes[guess]), *fixed]))
            low, high = (guess, high) if costs[guess] < target else (low, guess)
            if high - low <= 1:
                break
            guess = min(max(_guess(sizes, costs, (low, high), target, turn), low + 1), high - 1)
        yield from (sizes[index] for index in (low, high) if 0 <= index < len(sizes))


def _guess(sizes: Sequence[int], costs: dict[int, float], ends: tuple[int, int], target: float, turn: int) -> int:
    """The index at which to look next; it may lie outside."""
    low, high = ends
    if low < 0 or high == len(sizes):  # one end is not known yet: by a square, the usual power of a width
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


def _outward(later: Sequence[Ladder]) -> list[tuple[int, ...]]:
    """All sizes of the later knobs together, their own first, then by how far they are from them."""

    def distance(sizes: tuple[int, ...]) -> tuple[float, tuple[int, ...]]:
        return sum(ladder.distance(size) for ladder, size in zip(later, sizes, strict=True)), sizes

    return sorted(itertools.product(*(ladder.sizes for ladder in later)), key=distance)
