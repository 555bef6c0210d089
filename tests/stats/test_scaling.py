"""Power laws that were planted, found again; crossings at a known size, and those that are not there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitbench import stats

SIZES = np.array([50, 100, 200, 400, 800, 1600])


def planted(rng, a, b, c, *, seeds=6, noise=0.08):
    """Errors of each size: the law, a deviation of each seed that all sizes share, and one of its own."""
    truth = a * SIZES**-b + c
    shared, own = rng.normal(size=seeds), rng.normal(size=(len(SIZES), seeds))
    return list(truth[:, None] * (1 + noise * (0.5 * shared + own)))


@given(st.floats(0.5, 5), st.floats(0.2, 1.2), st.floats(0, 0.2))
def test_without_noise_the_law_itself_is_found(a, b, c):
    truth = a * SIZES**-b + c
    found = stats.power_law(SIZES, [[e, e] for e in truth], draws=10)
    assert found.at(SIZES) == pytest.approx(truth, rel=5e-3)
    assert found.b.value == pytest.approx(b, rel=0.02)
    assert found.c.value == pytest.approx(c, abs=0.004)


@pytest.mark.parametrize(
    ("a", "b", "c", "least"),
    [(3.0, 0.6, 0.05, 0.9), (8.0, 1.0, 0.1, 0.9), (2.0, 0.4, 0.0, 0.84)],  # the last stands at the end of c's range
)
def test_the_planted_parameters_are_inside_at_the_nominal_rate(a, b, c, least):
    rng = np.random.default_rng(0)
    found = [stats.power_law(SIZES, planted(rng, a, b, c), draws=200, seed=i) for i in range(100)]
    for name, truth in (("a", a), ("b", b), ("c", c)):
        inside = np.mean([getattr(f, name).low <= truth <= getattr(f, name).high for f in found])
        assert inside >= least, name
    grid = np.geomspace(50, 1600, 7)
    covered = np.mean([(low <= (t := a * grid**-b + c)) & (t <= high) for low, high in (f.band(grid) for f in found)])
    assert 0.88 <= covered <= 0.99


def test_the_ends_of_the_band_are_those_of_the_draws():
    found = stats.power_law(SIZES, planted(np.random.default_rng(1), 3.0, 0.6, 0.05))
    low, high = found.band(SIZES)
    draws = found.drawn(SIZES)
    assert draws.shape == (2000, 6)
    assert np.mean((draws < low) | (draws > high)) == pytest.approx(0.05, abs=0.005)
    assert ((low < found.at(SIZES)) & (found.at(SIZES) < high)).all()


def test_an_error_that_does_not_fall_is_flat():
    found = stats.power_law(SIZES, [[0.3, 0.3]] * 6, draws=20)
    assert found.at(SIZES) == pytest.approx(0.3)


def test_a_planted_crossing_is_found():
    """6·n^-.8 against 2.4·n^-.6: equal where n^.2 = 2.5, at 97.66 images."""
    rng = np.random.default_rng(4)
    inside = []
    for i in range(50):
        vit = stats.power_law(SIZES, planted(rng, 6.0, 0.8, 0.0, noise=0.04), draws=200, seed=i)
        cnn = stats.power_law(SIZES, planted(rng, 2.4, 0.6, 0.0, noise=0.04), draws=200, seed=i)
        found = stats.crossover(vit, cnn)
        inside.append(not isinstance(found, str) and not found.excludes(2.5**5))
    assert np.mean(inside) >= 0.85


def test_a_crossing_beyond_the_sizes_measured_is_not_reached():
    rng = np.random.default_rng(5)
    vit = stats.power_law(SIZES, planted(rng, 60.0, 0.8, 0.0, noise=0.02), draws=100)
    cnn = stats.power_law(SIZES, planted(rng, 2.4, 0.6, 0.0, noise=0.02), draws=100)
    assert stats.crossover(vit, cnn) == "not reached up to 1600"
    assert stats.crossover(cnn, vit) == "ahead from 50 on"
    assert stats.ahead_share(vit, cnn, 1600) == 0
    assert stats.ahead_share(cnn, vit, 50) == 1


def test_a_crossing_that_many_draws_never_reach_has_an_open_end():
    """The curves meet just under the largest size, and the seeds are noisy."""
    rng = np.random.default_rng(8)
    for _ in range(20):
        vit = stats.power_law(SIZES, planted(rng, 10.0, 0.8, 0.0, noise=0.2), draws=200)
        cnn = stats.power_law(SIZES, planted(rng, 2.5, 0.6, 0.0, noise=0.2), draws=200)
        found = stats.crossover(vit, cnn)
        if not isinstance(found, str) and found.high == np.inf:
            assert 50 < found.value < 1600
            return
    pytest.fail("no open end in 20 tries")


def test_the_last_crossing_counts():
    """A curve that is ahead, falls behind and leads again leads from its last crossing on."""
    flat = stats.power_law(SIZES, [[0.3, 0.3]] * 6, draws=10)
    steep = stats.power_law(SIZES, [[e, e] for e in 30.0 * SIZES**-1.0], draws=10)
    found = stats.crossover(steep, flat)
    assert found.value == pytest.approx(100, rel=0.02)
    assert stats.crossover(flat, steep) == "not reached up to 1600"


@pytest.mark.parametrize(
    ("sizes", "errors", "message"),
    [
        ([1, 2], [[0.1, 0.1]] * 2, "three sizes"),
        ([1, 2, 2], [[0.1, 0.1]] * 3, "three sizes"),
        ([1, 2, 3], [[0.1, 0.1]] * 2, "three sizes"),
        ([0, 2, 3], [[0.1, 0.1]] * 3, "above 0"),
        ([1, 2, 3], [[0.1]] * 3, "two seeds"),
        ([1, 2, 3], [[0.1, float("nan")]] * 3, "finite"),
    ],
)
def test_what_cannot_be_fitted_is_refused(sizes, errors, message):
    with pytest.raises(ValueError, match=message):
        stats.power_law(sizes, errors)


def test_curves_without_a_common_range_are_refused():
    one = stats.power_law([1, 2, 3], [[0.1, 0.1]] * 3, draws=5)
    other = stats.power_law([4, 5, 6], [[0.1, 0.1]] * 3, draws=5)
    with pytest.raises(ValueError, match="no range of sizes in common"):
        stats.crossover(one, other)
