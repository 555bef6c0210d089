"""Very many trials as sequences in which each is made when it is asked for. No torch."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

from vitbench.declare.quantities import find_quantity
from vitbench.run.planning.trial import Kind, Recipe, Trial


class _Lazy(Sequence[Trial]):
    """A sequence by its items; a slice of it is a list."""

    @overload
    def __getitem__(self, index: int) -> Trial: ...

    @overload
    def __getitem__(self, index: slice) -> list[Trial]: ...

    def __getitem__(self, index: int | slice) -> Trial | list[Trial]:
        if isinstance(index, slice):
            return [self._made(i) for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"{index} of {len(self)} trials")
        return self._made(index % len(self))

    def _made(self, index: int) -> Trial:
        raise NotImplementedError


@dataclass(frozen=True, eq=False, repr=False)
class Block(_Lazy):
    """Trials of one kind, under one recipe and seed.

    Attributes:
        kind, recipe, seed: of all of them.
        make: a trial of an item.
        items: what distinguishes them; blocks that differ in the seed alone share it.
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

    def _made(self, index: int) -> Trial:
        return self.make(self.items[index])

    def only(self, indices: Iterable[int]) -> Block:
        """Those of its trials."""
        return Block(self.kind, self.recipe, self.seed, self.make, [self.items[i] for i in indices])

    @property
    def alone(self) -> bool:
        """Whether they are timing sessions."""
        return find_quantity(self.kind).per == "session"

    @property
    def label(self) -> str:
        """The kind; accuracies under tuned recipes are a kind of their own."""
        return self.kind if self.recipe == "same" else f"{self.kind}, tuned"


def block_of(trials: Sequence[Trial]) -> Block:
    """A block of alike trials that are there already, of one at least."""
    return Block(trials[0].kind, trials[0].recipe, trials[0].seed, _itself, trials)


def _itself(trial: Trial) -> Trial:
    return trial


class Blocks(_Lazy):
    """Blocks one after another, as one sequence of trials; those without trials are left out."""

    def __init__(self, parts: Iterable[Block] = ()) -> None:
        """Nothing is made."""
        self.parts = tuple(part for part in parts if part.items)
        self._ends = list(itertools.accumulate(map(len, self.parts)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[Trial]:
        return itertools.chain.from_iterable(self.parts)

    def _made(self, index: int) -> Trial:
        number = bisect.bisect_right(self._ends, index)
        return self.parts[number][index - self._ends[number]]

    def of(self, *kinds: Kind, recipe: Recipe | None = None) -> Blocks:
        """Those of some kinds."""
        return Blocks(part for part in self.parts if part.kind in kinds and recipe in {None, part.recipe})

    def by_seed(self) -> Iterator[Blocks]:
        """Seed by seed."""
        for seed in sorted({part.seed or 0 for part in self.parts}):
            yield Blocks(part for part in self.parts if (part.seed or 0) == seed)

    def without(self, ids: Collection[str]) -> Blocks:
        """All but the trials with these ids, which have one variant each."""
        if not ids:
            return self
        return Blocks(
            part.only(i for i, trial in enumerate(part) if trial.alone or trial.only_id not in ids)
            for part in self.parts
        )

    @property
    def counts(self) -> dict[str, int]:
        """How many of each kind; a session is one."""
        found: dict[str, int] = {}
        for part in self.parts:
            found[part.label] = found.get(part.label, 0) + len(part)
        return found
