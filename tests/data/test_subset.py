from __future__ import annotations

import itertools
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vitbench.data import load, subset
from vitbench.utils.errors import UserError

LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=150).map(
    lambda labels: [sorted(set(labels)).index(label) for label in labels]
)


def _kept(labels, **wanted) -> list[int]:
    return subset.rows(labels, "abcde", **wanted)


@given(LABELS, st.floats(0.01, 1), st.integers(0, 3))
def test_a_fraction_has_its_size_and_every_class_its_share(labels, fraction, seed):
    count = round(fraction * len(labels))
    if count < len(set(labels)):
        with pytest.raises(UserError, match=r"give at least"):
            _kept(labels, fraction=fraction, seed=seed)
        return
    rows = _kept(labels, fraction=fraction, seed=seed)
    assert rows == sorted(set(rows))
    assert len(rows) == count
    every, kept = Counter(labels), Counter(labels[row] for row in rows)
    assert set(kept) == set(every)
    forced = sum(size * count / len(labels) < 1 for size in every.values())  # these have one image although it is more
    assert all(abs(kept[c] - size * count / len(labels)) <= 1 + forced for c, size in every.items())


@given(LABELS, st.lists(st.floats(0.01, 1), min_size=2, max_size=4), st.integers(0, 3))
def test_fractions_are_nested(labels, fractions, seed):
    usable = sorted(f for f in fractions if round(f * len(labels)) >= len(set(labels)))
    parts = [set(_kept(labels, fraction=fraction, seed=seed)) for fraction in usable]
    assert all(small <= large for small, large in itertools.pairwise(parts))


@given(LABELS, st.integers(0, 3))
def test_so_many_of_each_class_are_nested(labels, seed):
    before: set[int] = set()
    for per_class in range(1, min(Counter(labels).values()) + 1):
        rows = _kept(labels, per_class=per_class, seed=seed)
        assert set(Counter(labels[row] for row in rows).values()) == {per_class}
        assert before <= set(rows)
        before = set(rows)


def test_the_seed_draws():
    labels = [0, 1] * 50
    assert _kept(labels, fraction=0.2, seed=1) == _kept(labels, fraction=0.2, seed=1)
    assert _kept(labels, fraction=0.2, seed=1) != _kept(labels, fraction=0.2, seed=2)
    assert _kept(labels, per_class=10, seed=0) == _kept(labels, fraction=0.2, seed=0)


def test_only_the_training_split_is_cut_and_its_statistics_stay():
    whole, part = load("digits"), load("digits", fraction=0.1, seed=3)
    assert part.spec.num_train == len(part.train) == 108
    assert (part.spec.num_val, part.spec.num_test, part.spec.version) == (360, 360, whole.spec.version)
    assert torch.equal(part.test.images, whole.test.images)
    assert torch.equal(part.val.images, whole.val.images)
    assert torch.equal(part.mean, whole.mean)
    assert torch.equal(part.std, whole.std)
    every = {image.numpy().tobytes(): int(y) for image, y in zip(whole.train.images, whole.train.labels, strict=True)}
    kept = {image.numpy().tobytes(): int(y) for image, y in zip(part.train.images, part.train.labels, strict=True)}
    assert kept.items() <= every.items()
    assert load("digits", fraction=1.0).spec == whole.spec


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({"fraction": 0.0}, r"fraction = 0.0 is not a fraction .*more than 0, at most 1"),
        ({"fraction": 1.5}, "fraction = 1.5 is not a fraction"),
        ({"fraction": float("nan")}, "fraction = nan is not a fraction"),
        ({"fraction": True, "per_class": 1}, "fraction = True is not a fraction"),
        ({"fraction": 0.5, "per_class": 3}, "contradict each other"),
        ({"fraction": 0.001}, r"of 1077 training images leaves 1 for 10 classes: give at least 0.0093"),
        ({"per_class": 0}, "per_class = 0 is not a number of images"),
        ({"per_class": 2.0}, "per_class = 2.0 is not a number of images"),
        ({"per_class": 106}, r"per_class = 106 is more than the training images of .*8.*: give 1 to 104"),
    ],
)
def test_other_wishes_are_explained(wanted, sentence):
    with pytest.raises(UserError, match=sentence):
        load("digits", **wanted)
