"""Main effects and two-way interactions of a grid of settings, in each unit (a seed, a block) by itself.

A **main effect** is what one level of an axis does against the axis' reference level, averaged over all settings of the
other axes with equal weights: a difference of marginal means. An **interaction** of two levels is the difference of
differences, averaged over the other axes: by how much the one level's effect is another under the other level. On a
full grid both are the contrasts of cell means of Montgomery, *Design and Analysis of Experiments*, chapter 5; for two
levels the main effect is Box, Hunter & Hunter's, the interaction twice theirs, who halve it.

Where cells are missing, the same contrasts are taken of the cell means that least squares gives under a model of main
effects and two-way interactions (population marginal means: Searle, Speed & Milliken 1980); on a full grid that changes
nothing, since the terms are orthogonal there. A contrast that the cells leave open is not estimated (Searle 1971,
chapter 5). Units are never mixed: what they share, as a seed's split and a block's placement, cancels in a contrast.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from vitbench.stats.estimates import FloatArray

IntArray: TypeAlias = NDArray[np.intp]
Term: TypeAlias = tuple[tuple[int, int], ...]
"""An axis and its level: a main effect; two axes, each with its level: an interaction."""

Basis: TypeAlias = Literal["complete", "pairwise", "additive", "none"]
"""What an estimate rests on: every cell; a fit with interactions, or without them; ``none``: it cannot be estimated."""

LARGEST = 2000
"""Terms of a model that is fitted: its normal equations take so many squared numbers."""

DIGITS = 11
"""Decimals of an estimate; what follows is the rounding of the solver, which would be a spread where there is none."""


@dataclass(frozen=True)
class Effect:
    """An effect in every unit in which it can be estimated: units (units,), and on what that rests."""

    term: Term
    units: FloatArray
    basis: Basis


@dataclass(frozen=True)
class Factorial:
    """Cells of a grid that were planned or measured.

    Attributes:
        sizes: levels of each axis.
        reference: the level of each axis that its effects are taken against.
        cells: (cells, axes), the level of each axis; no cell twice.
    """

    sizes: tuple[int, ...]
    reference: tuple[int, ...]
    cells: IntArray

    def __post_init__(self) -> None:
        """Raises ValueError where a cell lies outside the grid or stands twice."""
        if self.cells.ndim != 2 or self.cells.shape[1] != len(self.sizes) or len(self.reference) != len(self.sizes):
            raise ValueError(f"takes cells of {len(self.sizes)} axes, got shape {self.cells.shape}")
        levels = np.vstack([self.cells, self.reference])
        if (levels < 0).any() or (levels >= self.sizes).any():
            raise ValueError(f"a level lies outside the sizes {self.sizes}")
        if len(np.unique(self.cells, axis=0)) < len(self.cells):
            raise ValueError("a cell stands twice")

    @property
    def mains(self) -> list[Term]:
        """Every level but the reference, axis by axis."""
        return [
            ((axis, level),)
            for axis, size in enumerate(self.sizes)
            for level in range(size)
            if level != self.reference[axis]
        ]

    @property
    def interactions(self) -> list[Term]:
        """Every two such levels of two axes, pair by pair of axes."""
        found = [(*a, *b) for a, b in itertools.combinations(self.mains, 2) if a[0][0] != b[0][0]]
        return sorted(found, key=lambda term: (term[0][0], term[1][0]))

    @property
    def pairs_fit(self) -> bool:
        """Whether the model with interactions is small enough to be fitted."""
        return self._models[True].size <= LARGEST

    @cached_property
    def _models(self) -> Mapping[bool, _Model]:
        """With interactions, and without."""
        return {pairs: _Model(self.sizes, self.reference, pairs=pairs) for pairs in (True, False)}

    @cached_property
    def _fits(self) -> dict[tuple[bool, bytes], _Fit]:
        """(with interactions, which cells there are) → the fit to these cells; quantities mostly have the same."""
        return {}

    def effects(self, values: ArrayLike, terms: Sequence[Term], *, sampled: bool = False) -> list[Effect]:
        """Effects in every unit, by the model with interactions.

        Args:
            values: (cells, units) what was measured; NaN where it was not.
            terms: those wanted, of ``mains`` or ``interactions``.
            sampled: whether the cells were drawn at random. Then a main effect that this model leaves open is fitted
                without interactions: they are noise in a random draw, and a bias where cells are missing for a reason.
        """
        contrasts = [_contrast(term, self.reference) for term in terms]
        pairs, whole = self._estimates(values, contrasts, pairs=True)
        alone = np.full_like(pairs, np.nan)
        additive = [at for at, term in enumerate(terms) if len(term) == 1 and np.isnan(pairs[at]).all()]
        if additive:
            alone[additive], _ = self._estimates(values, [contrasts[at] for at in additive], pairs=False)
            alone[:, ~whole & (not sampled)] = np.nan
        found = []
        for at, term in enumerate(terms):
            known, without = ~np.isnan(pairs[at]), ~np.isnan(alone[at])
            basis: Basis = "none"
            if known.any():
                basis = "complete" if whole[known].all() else "pairwise"
            elif without.any():
                basis = "complete" if whole[without].all() else "additive"
            found.append(Effect(term, pairs[at][known] if known.any() else alone[at][without], basis))
        return found

    def means(self, values: ArrayLike, settings: Sequence[Mapping[int, int]]) -> FloatArray:
        """Marginal means (settings, units): axes at given levels, averaged over the others; NaN where left open.

        Args:
            values: (cells, units), NaN where nothing was measured.
            settings: axis → level each.
        """
        return self._estimates(values, [[(1.0, fixed)] for fixed in settings], pairs=True)[0]

    def _estimates(
        self, values: ArrayLike, contrasts: Sequence[Sequence[tuple[float, Mapping[int, int]]]], *, pairs: bool
    ) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Contrasts of marginal means (contrasts, units), NaN where left open; and which units have every cell."""
        y = np.asarray(values, dtype=np.float64)
        if y.ndim != 2 or len(y) != len(self.cells):
            raise ValueError(f"takes values of {len(self.cells)} cells, got shape {y.shape}")
        there = ~np.isnan(y)
        whole = there.sum(axis=0) == math.prod(self.sizes)
        found = np.full((len(contrasts), y.shape[1]), np.nan)
        model = self._models[pairs]
        if not contrasts or model.size > LARGEST:
            return found, whole
        wanted = np.array([sum(sign * model.expected(fixed) for sign, fixed in contrast) for contrast in contrasts])
        patterns: dict[bytes, list[int]] = {}
        for unit in np.flatnonzero(there.any(axis=0)):
            patterns.setdefault(there[:, unit].tobytes(), []).append(int(unit))
        for pattern, units in patterns.items():
            own = there[:, units[0]]
            if (pairs, pattern) not in self._fits:
                self._fits[pairs, pattern] = _Fit(model.rows(self.cells[own]))
            found[:, units] = self._fits[pairs, pattern].contrasts(wanted, y[own][:, units])
        return np.round(found, DIGITS), whole


@dataclass(frozen=True)
class _Model:
    """Terms for a level against the reference, and with ``pairs`` for two such levels together: treatment coding."""

    sizes: tuple[int, ...]
    reference: tuple[int, ...]
    pairs: bool

    @cached_property
    def _blocks(self) -> list[tuple[tuple[int, ...], int]]:
        """(axes, first column) of each group of terms."""
        orders = (1, 2) if self.pairs else (1,)
        groups = [axes for order in orders for axes in itertools.combinations(range(len(self.sizes)), order)]
        ends = list(itertools.accumulate(math.prod(self.sizes[axis] - 1 for axis in axes) for axes in groups))
        return list(zip(groups, [1, *(1 + end for end in ends)], strict=False))

    @cached_property
    def size(self) -> int:
        return 1 + sum(math.prod(self.sizes[axis] - 1 for axis in axes) for axes, _ in self._blocks)

    def rows(self, cells: IntArray) -> sparse.csr_array:
        """The model matrix (cells, terms)."""
        at, columns = [np.arange(len(cells))], [np.zeros(len(cells), dtype=np.intp)]
        reference = np.asarray(self.reference)
        place = np.where(cells == reference, -1, cells - (cells > reference))
        for axes, first in self._blocks:
            own = np.flatnonzero((place[:, axes] >= 0).all(axis=1))
            shape = [self.sizes[axis] - 1 for axis in axes]
            at.append(own)
            columns.append(first + np.ravel_multi_index(tuple(place[own][:, axes].T), shape))
        rows, cols = np.concatenate(at), np.concatenate(columns)
        return sparse.csr_array((np.ones(len(rows)), (rows, cols)), shape=(len(cells), self.size))

    @cached_property
    def _known(self) -> dict[tuple[tuple[int, int], ...], FloatArray]:
        return {}

    def expected(self, fixed: Mapping[int, int]) -> FloatArray:
        """The model's row (terms,) at given levels of some axes, averaged over all settings of the others."""
        key = tuple(sorted(fixed.items()))
        if key not in self._known:
            self._known[key] = self._expected(fixed)
        return self._known[key]

    def _expected(self, fixed: Mapping[int, int]) -> FloatArray:
        shares = []
        for axis, size in enumerate(self.sizes):
            share = np.full(size, 1 / size) if axis not in fixed else np.eye(size)[fixed[axis]]
            shares.append(np.delete(share, self.reference[axis]))
        parts = [np.ones(1)]
        for axes, _ in self._blocks:
            part = shares[axes[0]] if len(axes) == 1 else np.outer(shares[axes[0]], shares[axes[1]])
            parts.append(part.ravel())
        return np.concatenate(parts)


class _Fit:
    """Least squares on the rows of a model, of deficient rank where cells are missing.

    By the normal equations: the matrix is of zeros and ones, so that its products are exact.
    """

    def __init__(self, rows: sparse.csr_array) -> None:
        weights, vectors = np.linalg.eigh((rows.T @ rows).toarray())
        kept = weights > weights[-1] * len(weights) * 1e-13
        self._rows, self._weights, self._basis = rows, weights[kept], vectors[:, kept]

    def contrasts(self, wanted: FloatArray, values: FloatArray) -> FloatArray:
        """(contrasts, terms) of values (rows, units) → (contrasts, units), NaN where the rows leave them open."""
        inside = wanted @ self._basis
        found: FloatArray = (inside / self._weights) @ (self._basis.T @ (self._rows.T @ values))
        found[np.abs(inside @ self._basis.T - wanted).max(axis=1) > 1e-8] = np.nan
        return found


def _contrast(term: Term, reference: Sequence[int]) -> list[tuple[float, Mapping[int, int]]]:
    """A term as marginal means with their signs: each of its axes once at its level and once at the reference."""
    found: list[tuple[float, Mapping[int, int]]] = [(1.0, {})]
    for axis, level in term:
        sides = (1.0, level), (-1.0, reference[axis])
        found = [(sign * side, {**fixed, axis: at}) for sign, fixed in found for side, at in sides]
    return found
