"""The data sets that need no file: their specs, their pinned content, and what is known about their answers."""

from __future__ import annotations

import hashlib
import itertools

import numpy as np
import pytest
import torch

from vitbench.data import Dataset, Split, describe, load
from vitbench.data.dataset import channel_statistics

# A change of any image, label or split must come with a new version: records under the old one are other data.
PINNED = {
    "digits": ("1", "a6ea54494b894541"),
    "quadrant": ("1", "d934a376b41983e9"),
    "majority": ("1", "fbc3cbcbf56635f4"),
}


@pytest.fixture(scope="module", params=sorted(PINNED))
def dataset(request) -> Dataset:
    return load(request.param)


def _splits(dataset: Dataset) -> tuple[Split, Split, Split]:
    return dataset.train, dataset.val, dataset.test


def test_describe_is_what_load_brings(dataset):
    assert describe(dataset.spec.name) == dataset.spec
    for split, count in zip(
        _splits(dataset), (dataset.spec.num_train, dataset.spec.num_val, dataset.spec.num_test), strict=True
    ):
        side = dataset.spec.img_size
        assert split.images.shape == (count, dataset.spec.in_chans, side, side)
        assert split.images.dtype == torch.uint8
        assert split.labels.shape == (count,)
        assert split.labels.dtype == torch.int64
        assert set(split.labels.tolist()) == set(range(dataset.spec.num_classes))


def test_content_belongs_to_the_version(dataset):
    digest = hashlib.sha256()
    for split in _splits(dataset):
        digest.update(split.images.numpy().tobytes())
        digest.update(split.labels.numpy().tobytes())
    assert (dataset.spec.version, digest.hexdigest()[:16]) == PINNED[dataset.spec.name]


def test_chance_is_naming_the_most_frequent_class(dataset):
    labels = dataset.test.labels
    assert dataset.spec.chance == max((labels == c).double().mean().item() for c in labels.unique())


def test_statistics_are_the_training_splits(dataset):
    pixels = dataset.train.images.double().transpose(0, 1).flatten(1)
    assert dataset.mean.double() == pytest.approx(pixels.mean(1), rel=1e-5)
    assert dataset.std.double() == pytest.approx(pixels.std(1, correction=0), rel=1e-5)


def test_a_constant_channel_is_not_divided_by_zero():
    mean, std = channel_statistics(torch.full((4, 1, 2, 2), 7, dtype=torch.uint8))
    assert (mean.item(), std.item()) == (7.0, 1.0)


def test_digits_are_all_of_scikit_learns_each_once():
    from sklearn.datasets import load_digits

    dataset, source = load("digits"), load_digits()
    ours = [
        (image.numpy().tobytes(), int(label))
        for split in _splits(dataset)
        for image, label in zip(split.images, split.labels, strict=True)
    ]
    theirs = [
        (image.astype(np.uint8).tobytes(), int(label))
        for image, label in zip(source.images, source.target, strict=True)
    ]
    assert sorted(ours) == sorted(theirs)


def _mark(image: torch.Tensor) -> tuple[int, int]:
    """Row and column where quadrant's 3×3 square begins."""
    rows, columns = (image[0] >= 128).nonzero(as_tuple=True)
    assert len(rows) == 9
    assert int(rows.max() - rows.min()) == int(columns.max() - columns.min()) == 2
    return int(rows.min()), int(columns.min())


def test_quadrant_label_is_the_quarter_of_the_mark():
    for split in _splits(load("quadrant")):
        for image, label in zip(split.images, split.labels.tolist(), strict=True):
            row, column = _mark(image)
            assert label == 2 * (row // 8) + column // 8
            assert row % 8 <= 5  # the square never reaches over the middle
            assert column % 8 <= 5


@pytest.mark.parametrize("patch", [1, 2, 4, 8])
def test_quadrant_leaks_nothing_through_patches(patch):
    """Every scene's four images hold the same patches: order aside, the label cannot be told."""
    for split in _splits(load("quadrant")):
        assert split.labels.tolist() == [0, 1, 2, 3] * (len(split) // 4)
        patches = split.images.unfold(2, patch, patch).unfold(3, patch, patch).flatten(1, 3).flatten(2).numpy()
        for first in range(0, len(patches), 4):
            bags = [sorted(p.tobytes() for p in image) for image in patches[first : first + 4]]
            assert all(bag == bags[0] for bag in bags)


@pytest.mark.parametrize("period", [2, 4])
def test_quadrant_phase_is_uniform_and_the_same_in_every_quarter(period):
    from vitbench.data.quadrant import OFFSET_ODDS, OFFSETS

    assert [OFFSET_ODDS[OFFSETS % period == p].sum() for p in range(period)] == pytest.approx([1 / period] * period)
    train = load("quadrant").train
    phases = np.array([[v % period for v in _mark(image)] for image in train.images])
    counts = [
        [int(((phases == phase).all(1) & (train.labels.numpy() == quarter)).sum()) for quarter in range(4)]
        for phase in itertools.product(range(period), repeat=2)
    ]
    assert all(len(set(row)) == 1 for row in counts)


def test_majority_label_is_the_commonest_colour_and_leads_by_two():
    from vitbench.data.majority import COLOURS

    for split in _splits(load("majority")):
        cells = split.images.unfold(2, 4, 4).unfold(3, 4, 4)  # n, 3, 4, 4 cells, 4, 4 pixels
        assert (cells == cells[..., :1, :1]).all()
        colours = cells[..., 0, 0].flatten(2).transpose(1, 2)
        tally = (colours[:, :, None] == torch.from_numpy(COLOURS)).all(-1).sum(1)
        assert (tally.sum(1) == 16).all()
        assert torch.equal(tally.argmax(1), split.labels)
        top = tally.sort(1).values
        assert (top[:, -1] - top[:, -2] >= 2).all()


def test_majority_colours_are_as_frequent_in_every_cell():
    """Where a cell lies says nothing: the winner's share differs between cells by no more than chance."""
    split = load("majority").train
    cells = split.images[:, :, ::4, ::4].flatten(2)
    from vitbench.data.majority import COLOURS

    wins = (cells == torch.from_numpy(COLOURS)[split.labels][:, :, None]).all(1).double().mean(0)
    assert (wins - wins.mean()).abs().max() < 4 * (0.25 / len(split)) ** 0.5


@pytest.mark.parametrize("name", ["quadrant", "majority"])
def test_no_scene_is_in_two_splits(name):
    seen = [{image.numpy().tobytes() for image in split.images} for split in _splits(load(name))]
    assert len(set.union(*seen)) == sum(map(len, seen))
