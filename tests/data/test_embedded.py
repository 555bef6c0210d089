"""The data sets that need no file: their specs, their pinned content, and what is known about their answers."""

from __future__ import annotations

import dataclasses
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
    "same_different": ("1", "39cb3dfe66b788a5"),
    "translation": ("1", "1bb57cb88aee7bc3"),
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


@pytest.mark.parametrize("name", ["quadrant", "majority", "same_different"])
def test_no_scene_is_in_two_splits(name):
    seen = [{image.numpy().tobytes() for image in split.images} for split in _splits(load(name))]
    assert len(set.union(*seen)) == sum(map(len, seen))


def _pairs(split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Of every image of same_different: the two cells that show something, and what they show, as numbers."""
    cells = split.images.unfold(2, 4, 4).unfold(3, 4, 4).reshape(len(split), 16, 16).numpy() > 0
    places = np.array([np.flatnonzero(image.any(1)) for image in cells])
    codes = cells @ (1 << np.arange(16))
    return places, np.take_along_axis(codes, places, axis=1)


def test_same_different_label_is_whether_two_glyphs_are_equal():
    for split in _splits(load("same_different")):
        assert set(split.images.unique().tolist()) == {0, 255}
        assert ((split.images > 0).sum((1, 2, 3)) == 16).all()
        places, codes = _pairs(split)
        assert places.shape == (len(split), 2)
        assert np.array_equal(codes[:, 0] != codes[:, 1], split.labels.numpy().astype(bool))
        assert all(code.bit_count() == 8 for code in set(codes.ravel().tolist()))


def test_same_different_shows_each_glyph_at_each_place_once_a_class():
    """So a score that adds up over cells has the same sum over the two images of either class: at most 3 of 4 right."""
    for split in _splits(load("same_different")):
        places, codes = _pairs(split)
        assert split.labels.tolist() == [0, 1, 0, 1] * (len(split) // 4)
        for first in range(0, len(split), 4):
            assert (places[first : first + 4] == places[first]).all()
            for place in (0, 1):
                same, different = codes[first : first + 4 : 2, place], codes[first + 1 : first + 4 : 2, place]
                assert sorted(same) == sorted(different)
                assert len(set(same)) == 2


def test_same_different_glyphs_of_a_split_are_new():
    seen = [set(_pairs(split)[1].ravel().tolist()) for split in _splits(load("same_different"))]
    assert len(set.union(*seen)) == sum(map(len, seen))


def test_a_model_that_adds_up_cells_is_held_below_three_quarters():
    """The bound of the docstring, on the best threshold for scores of every kind, places and glyphs both."""
    split = load("same_different").test
    places, codes = _pairs(split)
    rng = np.random.default_rng(0)
    for _ in range(20):
        of_cell, of_glyph = rng.standard_normal(16), rng.standard_cauchy(2**16)
        scores = (of_cell[places] * of_glyph[codes]).sum(1)
        different = split.labels.numpy()[np.argsort(scores, kind="stable")]
        right = np.cumsum(1 - different) + different.sum() - np.cumsum(different)
        assert max(right.max(), len(split) - right.min()) <= 0.75 * len(split)


def _place(image: torch.Tensor) -> set[tuple[int, int]]:
    """Offsets at which translation's digit can lie so that nothing of it is cut."""
    rows, columns = (image[0] > 0).nonzero(as_tuple=True)
    return {
        (i, j)
        for i in range(int(rows.max()) - 7, int(rows.min()) + 1)
        for j in range(int(columns.max()) - 7, int(columns.min()) + 1)
    }


def test_translation_shows_the_digits_where_its_groups_say():
    dataset, digits = load("translation"), load("digits")
    for split, source in ((dataset.train, digits.train), (dataset.val, digits.val)):
        assert torch.equal(split.images[:, :, 4:12, 4:12], source.images)
        assert torch.equal(split.images.flatten(1).sum(1), source.images.flatten(1).sum(1))
        assert torch.equal(split.labels, source.labels)
    assert dataset.spec.test_groups == (("same place", 360), ("shifts by multiples of 4 px", 360), ("any shift", 360))
    home, aligned, anywhere = dataset.test.images.split(360)
    assert torch.equal(home[:, :, 4:12, 4:12], digits.test.images)
    assert torch.equal(dataset.test.labels, digits.test.labels.repeat(3))
    for group in (home, aligned, anywhere):
        assert torch.equal(group.flatten(1).sum(1), digits.test.images.flatten(1).sum(1))
    allowed = {(i, j) for i in (0, 4, 8) for j in (0, 4, 8)} - {(4, 4)}
    found = [_place(image) & allowed for image in aligned]
    assert all(found)
    assert set.union(*found) == allowed
    assert len(set.union(*map(_place, anywhere))) >= 81


def test_a_vit_without_positions_cannot_tell_a_shift_by_whole_patches():
    """The known answer of translation, exactly: it holds for untrained weights as for any."""
    from vitbench import ViTConfig, build

    config = ViTConfig(img_size=16, patch_size=4, in_chans=1, num_classes=10, embed_dim=32, depth=2, num_heads=2)
    images = load("translation").test.images.float() / 16
    home, aligned, anywhere = images[:30], images[360:390], images[720:750]
    torch.manual_seed(0)
    with torch.no_grad():
        for pos_embed, same in (("none", True), ("learned", False)):
            model = build(dataclasses.replace(config, pos_embed=pos_embed)).eval()
            assert ((model(home) - model(aligned)).abs().max().item() < 1e-5) == same
            assert (model(home) - model(anywhere)).abs().max().item() > 1e-3


def test_groups_must_add_up_to_the_test_split():
    spec = describe("translation")
    with pytest.raises(ValueError, match="do not add up to the 1080 test images"):
        dataclasses.replace(spec, test_groups=spec.test_groups[:2])
