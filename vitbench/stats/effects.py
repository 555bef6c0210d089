"""Main effects and two-way interactions of a grid of settings, estimated separately in each unit (a seed, a block).

A **main effect** is the difference between a level of an axis and the axis' reference level, averaged over all settings
of the other axes with equal weights: a difference of marginal means. An **interaction** is a difference of differences:
how much the effect of a level changes between two levels of a second axis, averaged over the other axes. On a full grid
both are the contrasts of cell means in Montgomery, *Design and Analysis of Experiments*, chapter 5. For two levels the
main effect equals Box, Hunter & Hunter's; the interaction is twice theirs, because they halve it.

If cells are missing, the same contrasts are taken of the cell means that least squares estimates under a model of main
effects and two-way interactions (population marginal means: Searle, Speed & Milliken 1980). On a full grid this gives
the same numbers, because the terms are orthogonal. A contrast that the cells do not determine is not estimated (Searle
1971, chapter 5). Units are never mixed: factors common to a unit, such as a seed's split or a block's placement, cancel
in a contrast.
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
"""A main effect is one (axis, level); an interaction is two, of different axes."""

Basis: TypeAlias = Literal["complete", "pairwise", "additive", "none"]
"""Basis of an estimate: all cells, a fit with interactions, or a fit without; ``none``: it cannot be estimated."""

LARGEST = 2000
"""Maximum number of terms of a fitted model; its normal equations need the square of that many numbers."""

DIGITS = 11
"""Decimals of an estimate; further digits are rounding errors of the solver, which would pass for a spread."""


@dataclass(frozen=True)
class Effect:
    """An effect in each unit in which it can be estimated, (units,), and the basis of the estimate."""

    term: Term
    units: FloatArray
    basis: Basis


@dataclass(frozen=True)
class Factorial:
    """The planned or measured cells of a grid.

    Attributes:
        sizes: number of levels of each axis.
        reference: reference level of each axis.
        cells: (cells, axes), the level of each axis; cells are unique.
    """

    sizes: tuple[int, ...]
    reference: tuple[int, ...]
    cells: IntArray

    def __post_init__(self) -> None:
        """Raises ValueError if a cell lies outside the grid or occurs twice."""
        if self.cells.ndim != 2 or self.cells.shape[1] != len(self.sizes) or len(self.reference) != len(self.sizes):
            raise ValueError(f"expected cells of {len(self.sizes)} axes, got shape {self.cells.shape}")
        levels = np.vstack([self.cells, self.reference])
        if (levels < 0).any() or (levels >= self.sizes).any():
            raise ValueError(f"a level lies outside the sizes {self.sizes}")
        if len(np.unique(self.cells, axis=0)) < len(self.cells):
            raise ValueError("a cell occurs twice")

    @property
    def mains(self) -> list[Term]:
        """All main effects: every level except the reference, axis by axis."""
        return [
            ((axis, level),)
            for axis, size in enumerate(self.sizes)
            for level in range(size)
            if level != self.reference[axis]
        ]

    @property
    def interactions(self) -> list[Term]:
        """All interactions: pairs of main effects of different axes, ordered by pair of axes."""
        found = [(*a, *b) for a, b in itertools.combinations(self.mains, 2) if a[0][0] != b[0][0]]
        return sorted(found, key=lambda term: (term[0][0], term[1][0]))

    @property
    def pairs_fit(self) -> bool:
        """Whether the model with interactions is small enough to fit."""
        return self._models[True].size <= LARGEST

    @cached_property
    def _models(self) -> Mapping[bool, _Model]:
        """The models with interactions (True) and without (False)."""
        return {pairs: _Model(self.sizes, self.reference, pairs=pairs) for pairs in (True, False)}

    @cached_property
    def _fits(self) -> dict[tuple[bool, bytes], _Fit]:
        """Fits by (with interactions, pattern of measured cells); most quantities share a pattern."""
        return {}

    def effects(self, values: ArrayLike, terms: Sequence[Term], *, sampled: bool = False) -> list[Effect]:
        """The effects in each unit, estimated by the model with interactions.

        Args:
            values: (cells, units), measured values; NaN if missing.
            terms: terms of ``mains`` or ``interactions``.
            sampled: whether the cells are a random sample of the grid. If so, a main effect that the model does not
                determine is fitted without interactions. They are noise in a random sample, but a bias if cells are
                missing for a reason.
        """
        contrasts = [_contrast(term, self.reference) for term in terms]
        pairwise, complete = self._estimates(values, contrasts, pairs=True)
        additive = np.full_like(pairwise, np.nan)
        undetermined = [i for i, term in enumerate(terms) if len(term) == 1 and np.isnan(pairwise[i]).all()]
        if undetermined:
            additive[undetermined], _ = self._estimates(values, [contrasts[i] for i in undetermined], pairs=False)
            additive[:, ~complete & (not sampled)] = np.nan
        found = []
        for i, term in enumerate(terms):
            by_pairwise, by_additive = ~np.isnan(pairwise[i]), ~np.isnan(additive[i])
            basis: Basis = "none"
            if by_pairwise.any():
                basis = "complete" if complete[by_pairwise].all() else "pairwise"
            elif by_additive.any():
                basis = "complete" if complete[by_additive].all() else "additive"
            units = pairwise[i][by_pairwise] if by_pairwise.any() else additive[i][by_additive]
            found.append(Effect(term, units, basis))
        return found

    def means(self, values: ArrayLike, settings: Sequence[Mapping[int, int]]) -> FloatArray:
        """Marginal means (settings, units), averaged over the axes that a setting omits; NaN if not determined.

        Args:
            values: (cells, units), measured values; NaN if missing.
            settings: axis → level for each mean.
        """
        return self._estimates(values, [[(1.0, fixed)] for fixed in settings], pairs=True)[0]

    def _estimates(
        self, values: ArrayLike, contrasts: Sequence[Sequence[tuple[float, Mapping[int, int]]]], *, pairs: bool
    ) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Contrasts of marginal means (contrasts, units), NaN if not determined; and which units have every cell."""
        y = np.asarray(values, dtype=np.float64)
        if y.ndim != 2 or len(y) != len(self.cells):
            raise ValueError(f"expected values of {len(self.cells)} cells, got shape {y.shape}")
        measured = ~np.isnan(y)
        complete = measured.sum(axis=0) == math.prod(self.sizes)
        found = np.full((len(contrasts), y.shape[1]), np.nan)
        model = self._models[pairs]
        if not contrasts or model.size > LARGEST:
            return found, complete
        weights = np.array([sum(sign * model.expected(fixed) for sign, fixed in contrast) for contrast in contrasts])
        patterns: dict[bytes, list[int]] = {}
        for unit in np.flatnonzero(measured.any(axis=0)):
            patterns.setdefault(measured[:, unit].tobytes(), []).append(int(unit))
        for pattern, units in patterns.items():
            present = measured[:, units[0]]
            if (pairs, pattern) not in self._fits:
                self._fits[pairs, pattern] = _Fit(model.rows(self.cells[present]))
            found[:, units] = self._fits[pairs, pattern].contrasts(weights, y[present][:, units])
        return np.round(found, DIGITS), complete


@dataclass(frozen=True)
class _Model:
    """A linear model in treatment coding: main effects, and with ``pairs`` two-way interactions."""

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
        rows, columns = [np.arange(len(cells))], [np.zeros(len(cells), dtype=np.intp)]  # the intercept
        reference = np.asarray(self.reference)
        index = np.where(cells == reference, -1, cells - (cells > reference))  # of a level among the non-reference ones
        for axes, first in self._blocks:
            own = np.flatnonzero((index[:, axes] >= 0).all(axis=1))
            shape = [self.sizes[axis] - 1 for axis in axes]
            rows.append(own)
            columns.append(first + np.ravel_multi_index(tuple(index[own][:, axes].T), shape))
        row, column = np.concatenate(rows), np.concatenate(columns)
        return sparse.csr_array((np.ones(len(row)), (row, column)), shape=(len(cells), self.size))

    @cached_property
    def _known(self) -> dict[tuple[tuple[int, int], ...], FloatArray]:
        return {}

    def expected(self, fixed: Mapping[int, int]) -> FloatArray:
        """The model's row (terms,) at fixed levels of some axes, averaged over all settings of the others."""
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
    """A least-squares fit, rank-deficient if cells are missing.

    It uses the normal equations: the model matrix contains only zeros and ones, so its products are exact.
    """

    def __init__(self, rows: sparse.csr_array) -> None:
        weights, vectors = np.linalg.eigh((rows.T @ rows).toarray())
        kept = weights > weights[-1] * len(weights) * 1e-13
        self._rows, self._weights, self._basis = rows, weights[kept], vectors[:, kept]

    def contrasts(self, weights: FloatArray, values: FloatArray) -> FloatArray:
        """Contrasts (contrasts, units), NaN if not determined: weights (contrasts, terms), values (rows, units)."""
        inside = weights @ self._basis
        found: FloatArray = (inside / self._weights) @ (self._basis.T @ (self._rows.T @ values))
        found[np.abs(inside @ self._basis.T - weights).max(axis=1) > 1e-8] = np.nan
        return found


def _contrast(term: Term, reference: Sequence[int]) -> list[tuple[float, Mapping[int, int]]]:
    """A term as signed marginal means, with each axis once at its level and once at the reference."""
    found: list[tuple[float, Mapping[int, int]]] = [(1.0, {})]
    for axis, level in term:
        sides = (1.0, level), (-1.0, reference[axis])
        found = [(sign * side, {**fixed, axis: own}) for sign, fixed in found for side, own in sides]
    return found
