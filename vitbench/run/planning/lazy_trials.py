"""Sequences of very many trials, each of which is built on access. No torch."""

from __future__ import annotations

import bisect
import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from vitbench.declare.quantities import find_quantity
from vitbench.run.planning.trial import Kind, Recipe, Trial


@dataclass(frozen=True, eq=False, repr=False)
class Block:
    """Trials of one kind, recipe and seed, as a sequence.

    Attributes:
        kind, recipe, seed: the same for all trials.
        make: builds the trial of an item.
        items: what distinguishes the trials. Blocks that differ only in the seed share this sequence.
    """

    kind: Kind
    recipe: Recipe
    seed: int | None
    make: Callable[[Any], Trial]
    items: Sequence[Any]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Trial]:
        return map(self.make, self.items)

    def __getitem__(self, index: int) -> Trial:
        return self.make(self.items[index])

    def only(self, indices: Iterable[int]) -> Block:
        """A block of these of its trials."""
        return Block(self.kind, self.recipe, self.seed, self.make, [self.items[i] for i in indices])

    @property
    def alone(self) -> bool:
        """Whether the trials are timing sessions."""
        return find_quantity(self.kind).per == "session"

    @property
    def label(self) -> str:
        """The kind; accuracies under tuned recipes have a label of their own."""
        return self.kind if self.recipe == "same" else f"{self.kind}, tuned"


def block_of(trials: Sequence[Trial]) -> Block:
    """A block of existing trials (at least one) of one kind, recipe and seed."""
    return Block(trials[0].kind, trials[0].recipe, trials[0].seed, lambda trial: trial, trials)


class Blocks:
    """Blocks in a row, as one sequence of trials, without empty blocks."""

    def __init__(self, parts: Iterable[Block] = ()) -> None:
        """Builds no trial."""
        self.parts = tuple(part for part in parts if part.items)
        self._ends = list(itertools.accumulate(map(len, self.parts)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[Trial]:
        return itertools.chain.from_iterable(self.parts)

    def __getitem__(self, index: int) -> Trial:
        index = range(len(self))[index]
        number = bisect.bisect_right(self._ends, index)
        return self.parts[number][index - self._ends[number]]

    def of(self, *kinds: Kind, recipe: Recipe | None = None) -> Blocks:
        """The blocks of these kinds."""
        return Blocks(part for part in self.parts if part.kind in kinds and recipe in {None, part.recipe})

    def by_seed(self) -> Iterator[Blocks]:
        """The blocks of each seed, in the order of the seeds."""
        for seed in sorted({part.seed or 0 for part in self.parts}):
            yield Blocks(part for part in self.parts if (part.seed or 0) == seed)

    def without(self, ids: Collection[str]) -> Blocks:
        """All trials but those with these ids; the ids are of trials with one variant."""
        if not ids:
            return self
        return Blocks(
            part.only(i for i, trial in enumerate(part) if trial.alone or trial.only_id not in ids)
            for part in self.parts
        )

    @property
    def counts(self) -> dict[str, int]:
        """The number of trials by label; a session counts once."""
        found = Counter[str]()
        for part in self.parts:
            found[part.label] += len(part)
        return dict(found)
