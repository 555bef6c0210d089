"""Effects of a grid: textbook examples, another least squares, planted effects, and what cannot be told."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitbench.stats import mean_interval
from vitbench.stats.effects import LARGEST, Factorial


def full(*sizes, reference=None):
    cells = np.array(list(itertools.product(*map(range, sizes))))
    return Factorial(sizes, reference or (0,) * len(sizes), cells)


def by_term(found):
    return {effect.term: effect for effect in found}


def means(found):
    return {effect.term: effect.units.mean() for effect in found}


def test_the_battery_of_montgomery():
    """Design and Analysis of Experiments, example 5.1: three materials, three temperatures, averages of table 5.4."""
    lives = [
        [130, 155, 74, 180], [34, 40, 80, 75], [20, 70, 82, 58],
        [150, 188, 159, 126], [136, 122, 106, 115], [25, 70, 58, 45],
        [138, 110, 168, 160], [174, 120, 150, 139], [96, 104, 82, 60],
    ]  # fmt: skip
    grid = full(3, 3)
    main = means(grid.effects(lives, grid.mains))
    assert main[((0, 1),)] == pytest.approx(108.33 - 83.17, abs=0.01)
    assert main[((0, 2),)] == pytest.approx(125.08 - 83.17, abs=0.01)
    assert main[((1, 1),)] == pytest.approx(107.58 - 144.83, abs=0.01)
    assert main[((1, 2),)] == pytest.approx(64.17 - 144.83, abs=0.01)
    pairs = means(grid.effects(lives, grid.interactions))
    assert pairs[((0, 2), (1, 1))] == pytest.approx((145.75 - 57.25) - (144 - 134.75))
    assert len(pairs) == 4


def test_two_levels_each_and_the_textbooks_halved_interaction():
    """Montgomery, section 6.2: concentration and catalyst, A = 8.33, B = −5.00, AB = 1.67, which is half of ours."""
    grid = full(2, 2)
    yields = [[28, 25, 27], [18, 19, 23], [36, 32, 32], [31, 30, 29]]
    main, pairs = means(grid.effects(yields, grid.mains)), means(grid.effects(yields, grid.interactions))
    assert main[((0, 1),)] == pytest.approx(8.33, abs=0.005)
    assert main[((1, 1),)] == pytest.approx(-5.0)
    assert pairs[((0, 1), (1, 1))] / 2 == pytest.approx(1.67, abs=0.005)


def test_of_xor_nothing_is_left_but_the_interaction():
    grid = full(2, 2, 3)
    values = np.array([[a ^ b] * 2 for a, b, _ in grid.cells], dtype=float)
    assert all(not effect.units.any() for effect in grid.effects(values, grid.mains))
    pairs = by_term(grid.effects(values, grid.interactions))
    assert pairs[((0, 1), (1, 1))].units.tolist() == [-2.0, -2.0]
    assert not any(effect.units.any() for term, effect in pairs.items() if term != ((0, 1), (1, 1)))


@settings(deadline=None)
@given(st.lists(st.integers(1, 4), min_size=2, max_size=4), st.integers(0, 2**31), st.data())
def test_on_a_full_grid_it_is_the_difference_of_marginal_means(sizes, seed, data):
    reference = tuple(data.draw(st.integers(0, size - 1)) for size in sizes)
    grid = full(*sizes, reference=reference)
    values = np.random.default_rng(seed).normal(size=(len(grid.cells), 3))
    table = values.reshape(*sizes, 3)
    for effect in grid.effects(values, [*grid.mains, *grid.interactions]):
        axes = [axis for axis, _ in effect.term]
        left = table.mean(axis=tuple(axis for axis in range(len(sizes)) if axis not in axes))
        levels, others = [level for _, level in effect.term], [reference[axis] for axis in axes]
        if len(axes) == 1:
            expected = left[levels[0]] - left[others[0]]
        else:
            (a, b), (a0, b0) = levels, others
            expected = left[a, b] - left[a0, b] - left[a, b0] + left[a0, b0]
        assert effect.basis == "complete"
        assert effect.units == pytest.approx(expected, abs=1e-9)


def dummies(cells, sizes):
    """An indicator for every level and every pair of levels, none left out: another coding, of deficient rank."""
    columns = [np.ones(len(cells))]
    columns += [cells[:, axis] == level for axis, size in enumerate(sizes) for level in range(size)]
    for one, other in itertools.combinations(range(len(sizes)), 2):
        for a, b in itertools.product(range(sizes[one]), range(sizes[other])):
            columns.append((cells[:, one] == a) & (cells[:, other] == b))
    return np.stack(columns, axis=1).astype(float)


@given(st.lists(st.integers(2, 3), min_size=3, max_size=3), st.integers(0, 2**31), st.integers(1, 6))
def test_with_cells_missing_it_is_least_squares_or_nothing(sizes, seed, holes):
    """What numpy's solver gives on another coding; what it leaves open is what two of its solutions disagree on."""
    rng = np.random.default_rng(seed)
    whole = full(*sizes)
    kept = np.sort(rng.permutation(len(whole.cells))[: max(2, len(whole.cells) - holes)])
    grid = Factorial(tuple(sizes), whole.reference, whole.cells[kept])
    values = rng.normal(size=(len(kept), 2))
    rows, every = dummies(grid.cells, sizes), dummies(whole.cells, sizes)
    solution = np.linalg.lstsq(rows, values, rcond=None)[0]
    fitted = (every @ solution).reshape(*sizes, 2)
    free = np.eye(rows.shape[1]) - np.linalg.pinv(rows) @ rows
    other = (every @ (solution + free @ rng.normal(size=(rows.shape[1], 2)))).reshape(*sizes, 2)
    for effect in grid.effects(values, grid.mains):
        ((axis, level),) = effect.term
        rest = tuple(a for a in range(3) if a != axis)
        expected, again = (m.mean(axis=rest)[level] - m.mean(axis=rest)[0] for m in (fitted, other))
        if np.allclose(expected, again):
            assert effect.basis in {"pairwise", "complete"}
            assert effect.units == pytest.approx(expected, abs=1e-8)
        else:
            assert (effect.basis, len(effect.units)) == ("none", 0)


@given(st.integers(0, 2**31), st.permutations(range(3)), st.permutations(range(5)), st.integers(0, 4))
def test_names_and_orders_mean_nothing(seed, axes, units, holes):
    """Axes in another order, levels under other numbers, seeds and cells shuffled: the same effects."""
    rng = np.random.default_rng(seed)
    sizes = (2, 3, 3)
    whole = full(*sizes)
    kept = np.sort(rng.permutation(18)[: 18 - holes])
    values = rng.normal(size=(18, 5))[kept]
    grid = Factorial(sizes, (0, 1, 2), whole.cells[kept])
    turns = [rng.permutation(size) for size in sizes]  # level → its new number
    renamed = np.stack([turns[axis][grid.cells[:, axis]] for axis in axes], axis=1)
    order = rng.permutation(len(kept))
    reference = tuple(int(turns[axis][(0, 1, 2)[axis]]) for axis in axes)
    other = Factorial(tuple(sizes[axis] for axis in axes), reference, renamed[order])
    moved = {frozenset(e.term): e for e in other.effects(values[order][:, units], [*other.mains, *other.interactions])}
    for effect in grid.effects(values, [*grid.mains, *grid.interactions]):
        same = moved[frozenset((list(axes).index(axis), int(turns[axis][level])) for axis, level in effect.term)]
        assert same.basis == effect.basis
        assert same.units == pytest.approx(effect.units[list(units)] if len(effect.units) else [], abs=1e-9)


def test_planted_effects_are_found_without_bias_and_covered_as_often_as_said():
    """2,000 grids of 3 × 2 × 2 cells under six seeds that shift all cells, noise of another size in every cell."""
    rng = np.random.default_rng(11)
    grid, runs, seeds = full(3, 2, 2), 2000, 6
    planted = {((0, 1),): 0.02, ((0, 2),): -0.05, ((1, 1),): 0.0, ((2, 1),): 0.3}
    mean = np.array([sum(planted.get(((axis, level),), 0.0) for axis, level in enumerate(cell)) for cell in grid.cells])
    noise = rng.uniform(0.005, 0.03, size=(len(mean), 1)) * rng.normal(size=(len(mean), runs * seeds))
    values = mean[:, None] + rng.normal(0, 0.1, runs * seeds) + noise
    found = grid.effects(values, [*grid.mains, *grid.interactions])
    for effect in found:
        true = planted.get(effect.term, 0.0)
        spread = effect.units.std() / np.sqrt(runs * seeds)
        assert abs(effect.units.mean() - true) < 4 * spread
        intervals = [mean_interval(units) for units in effect.units.reshape(runs, seeds)]
        covered = np.mean([interval.low <= true <= interval.high for interval in intervals])
        assert 0.935 <= covered <= 0.965, effect.term
    assert len(found) == 9


def test_of_two_axes_a_missing_cell_leaves_open_what_averages_over_it():
    """Nothing says what the cell would have been: a fit without interactions would make it up."""
    whole = full(2, 3)
    grid = Factorial((2, 3), (0, 0), whole.cells[:-1])
    values = np.arange(10.0).reshape(5, 2)
    main = by_term(grid.effects(values, grid.mains))
    assert {term for term, effect in main.items() if effect.basis == "none"} == {((0, 1),), ((1, 2),)}
    assert main[((1, 1),)].basis == "pairwise"
    assert main[((1, 1),)].units == pytest.approx([2.0, 2.0])
    pairs = by_term(grid.effects(values, grid.interactions))
    assert pairs[((0, 1), (1, 1))].basis == "pairwise"
    assert pairs[((0, 1), (1, 2))].basis == "none"
    drawn = by_term(grid.effects(values, grid.mains, sampled=True))
    assert drawn[((0, 1),)].basis == "additive"
    assert drawn[((0, 1),)].units == pytest.approx([6.0, 6.0])


def test_a_seed_that_lacks_a_cell_counts_only_where_the_others_suffice():
    grid = full(2, 2, 3)
    values = np.random.default_rng(0).normal(size=(12, 4))
    values[0, 3] = np.nan
    first = grid.effects(values, grid.mains)[0]
    assert (len(first.units), first.basis) == (4, "pairwise")
    small = full(2, 2)
    values = values[2:6].copy()
    values[1, 1] = np.nan
    (main, *_), (pair,) = small.effects(values, small.mains), small.effects(values, small.interactions)
    assert (len(main.units), len(pair.units), main.basis) == (3, 3, "complete")
    table = values.reshape(2, 2, 4)[:, :, [0, 2, 3]]
    assert main.units == pytest.approx(table.mean(axis=1)[1] - table.mean(axis=1)[0])


def test_means_of_two_levels_and_what_was_never_measured():
    whole = full(2, 3, 2)
    values = np.random.default_rng(2).normal(size=(12, 3))
    assert whole.means(values, [{0: 1, 1: 2}])[0] == pytest.approx(values[10:].mean(axis=0))
    assert whole.means(values, [{}])[0] == pytest.approx(values.mean(axis=0))
    kept = ~((whole.cells[:, 0] == 1) & (whole.cells[:, 1] == 2))
    grid = Factorial((2, 3, 2), (0, 0, 0), whole.cells[kept])
    assert np.isnan(grid.means(values[kept], [{0: 1, 1: 2}])).all()
    assert not np.isnan(grid.means(values[kept], [{0: 0, 1: 2}])).any()


def test_what_is_the_same_in_every_unit_stays_the_same():
    """The rounding of a solver is no spread: of equal cells an effect is 0, of equal seeds it is one number."""
    grid = full(3, 4, 5)
    values = np.repeat(np.random.default_rng(4).normal(size=(60, 1)), 6, axis=1)
    assert all(np.ptp(effect.units) == 0 for effect in grid.effects(values, grid.mains))
    assert not any(effect.units.any() for effect in grid.effects(np.full((60, 6), 0.1), grid.mains))


def test_a_model_too_large_to_be_fitted_still_has_the_main_effects_of_a_full_grid():
    grid = full(50, 60)
    assert not grid.pairs_fit
    assert len(grid.cells) == 3000 > LARGEST
    values = np.random.default_rng(5).normal(size=(3000, 2))
    main = by_term(grid.effects(values, grid.mains))
    table = values.reshape(50, 60, 2)
    assert main[((0, 7),)].basis == "complete"
    assert main[((0, 7),)].units == pytest.approx(table.mean(axis=1)[7] - table.mean(axis=1)[0])
    assert {effect.basis for effect in grid.effects(values, grid.interactions[:3])} == {"none"}
    values[0, 1] = np.nan
    assert {len(effect.units) for effect in grid.effects(values, grid.mains)} == {1}


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ([[0, 0], [0, 0]], "occurs twice"),
        ([[0, 3]], "outside the sizes"),
        ([[0, -1]], "outside the sizes"),
        ([[0, 0, 0]], "cells of 2 axes"),
    ],
)
def test_cells_that_cannot_be_are_named(cells, why):
    with pytest.raises(ValueError, match=why):
        Factorial((2, 3), (0, 0), np.array(cells))
    with pytest.raises(ValueError, match="values of 6 cells"):
        full(2, 3).effects(np.zeros((5, 2)), full(2, 3).mains)
