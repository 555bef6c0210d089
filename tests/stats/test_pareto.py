"""The Pareto front against its definition, and its probability against every possible draw of the seeds."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitbench import stats

WORLDS = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 4)), min_size=1, max_size=8)


def by_definition(costs, accuracies):
    """Model by model, against every other."""
    models = list(zip(costs, accuracies, strict=True))
    return [
        not any(c <= cost and a >= accuracy and (c < cost or a > accuracy) for c, a in models)
        for cost, accuracy in models
    ]


@given(WORLDS)
def test_the_front_is_what_nothing_dominates(models):
    costs, accuracies = zip(*models, strict=True)
    assert stats.on_front(costs, accuracies).tolist() == by_definition(costs, accuracies)


@given(st.lists(WORLDS, min_size=1, max_size=1), st.integers(0, 99))
def test_many_worlds_at_once_are_each_its_own(worlds, seed):
    costs = [c for c, _ in worlds[0]]
    many = np.random.default_rng(seed).integers(0, 3, (5, len(costs)))
    assert stats.on_front(costs, many).tolist() == [by_definition(costs, world) for world in many]


def test_equal_models_share_the_front():
    assert stats.on_front([1, 1, 1, 2], [0.5, 0.5, 0.4, 0.5]).tolist() == [True, True, False, False]


def every_draw(costs, seeds):
    """The exact probability: all draws of seeds with replacement, the same for all models."""
    seeds = np.asarray(seeds)
    n = seeds.shape[1]
    means = [
        seeds.mean(axis=1) + np.sqrt(n / (n - 1)) * (seeds[:, list(drawn)].mean(axis=1) - seeds.mean(axis=1))
        for drawn in itertools.product(range(n), repeat=n)
    ]
    return np.mean([by_definition(costs, world.round(12)) for world in means], axis=0)


@pytest.mark.parametrize("seed", range(4))
def test_the_probability_is_that_of_all_draws(seed):
    rng = np.random.default_rng(seed)
    seeds = 0.9 + 0.01 * rng.normal(size=(4, 4)) + 0.004 * np.arange(4)[:, None]
    costs = [1.0, 2.0, 3.0, 3.0]
    found = stats.front_probability(costs, list(seeds), draws=20_000)
    assert found == pytest.approx(every_draw(costs, seeds), abs=4 * 0.5 / np.sqrt(20_000))


def test_planted_dominance():
    """Cheap and better is always on the front; dear and worse never; the cheapest of all always."""
    rng = np.random.default_rng(1)
    noise = 0.002 * rng.normal(size=(3, 6))
    found = stats.front_probability([1, 2, 3], [0.80 + noise[0], 0.99 + noise[1], 0.90 + noise[2]])
    assert found.tolist() == [1, 1, 0]


def test_two_models_that_no_seed_tells_apart_are_even():
    """The dearer of two equally good ones is on the front as often as its mean comes out above: every other time."""
    rng = np.random.default_rng(2)
    cheap, dear = 0.9 + 0.01 * rng.normal(size=(2, 12))
    found = stats.front_probability([1, 2], [cheap - cheap.mean(), dear - dear.mean()])
    assert found[0] == 1
    assert found[1] == pytest.approx(0.5, abs=0.06)


def test_pairing_by_seed_counts():
    """Better by the same in every seed: always ahead, however much the seeds differ among themselves."""
    shared = 0.9 + 0.05 * np.random.default_rng(3).normal(size=6)
    assert stats.front_probability([1, 2], [shared, shared + 0.001]).tolist() == [1, 1]
    apart = stats.front_probability([1, 2], [shared, np.append(shared + 0.001, 0.9)])
    assert 0.2 < apart[1] < 0.8


def test_one_seed_has_no_spread_and_none_is_refused():
    assert stats.front_probability([2, 1], [[0.9], [0.8]]).tolist() == [1, 1]
    with pytest.raises(ValueError, match="accuracy of one seed"):
        stats.front_probability([1], [[]])
    with pytest.raises(ValueError, match="a finite cost per model"):
        stats.front_probability([1, 2], [[0.9]])
