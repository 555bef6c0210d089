"""That what ``training_loop`` times is the same work: the same images, losses and steps under the same weights."""

import dataclasses

import pytest
import torch

from tests.parity import training_loop
from tests.parity.training_loop import SHIFT_PX, Ours, Plain, made

ROW = dataclasses.replace(training_loop.ROWS[0], recipe=dataclasses.replace(training_loop.recipe(8), weight_decay=0))


@pytest.fixture
def loops():
    data = made(24)
    ours, plain = Ours(ROW, data, 0), Plain(ROW, data, 0, 0)
    state = ours.model.state_dict()
    plain.model.load_state_dict({name: state[name].clone() for name in plain.model.state_dict()}, strict=True)
    return ours, plain


def test_the_same_weights_give_the_same_losses_and_the_same_steps(loops):
    ours, plain = loops
    for images, labels in ours.feed.epoch():
        losses = ours.step(images, labels, ROW.recipe.lr), plain.step(images, labels)
        torch.testing.assert_close(*losses, rtol=1e-5, atol=1e-6)
        assert losses[0] > 1
    moved = dict(plain.model.named_parameters())
    first = Ours(ROW, made(24), 0).model.state_dict()
    for name, parameter in ours.model.named_parameters():
        torch.testing.assert_close(parameter, moved[name], rtol=1e-3, atol=2e-4)  # of three steps of 1e-3
        assert not torch.equal(parameter, first[name])


def test_both_see_crops_and_mirror_images_of_the_same_pictures(loops):
    """Every image that either feeds is one of the 162 that the two draws can make of its picture."""
    ours, plain = loops
    data = made(24)
    mean, std = data.mean[:, None, None], data.std[:, None, None]
    side, padded = 32, torch.nn.functional.pad(data.train.images, (SHIFT_PX,) * 4)
    variants = {}
    for number, picture in enumerate(padded):
        for top in range(2 * SHIFT_PX + 1):
            for left in range(2 * SHIFT_PX + 1):
                cut = picture[:, top : top + side, left : left + side]
                for flip, image in enumerate((cut, cut.flip(2))):
                    variants[image.numpy().tobytes()] = number, top, left, flip
    for batches in (ours.feed.epoch(), plain.loader):
        seen = []
        for images, labels in batches:
            raw = (images * std + mean).round().byte()
            torch.testing.assert_close((raw.float() - mean) / std, images, rtol=0, atol=1e-4)
            found = [variants[image.numpy().tobytes()] for image in raw]
            assert [int(data.train.labels[number]) for number, *_ in found] == labels.tolist()
            seen += found
        assert sorted(number for number, *_ in seen) == list(range(24))
        assert len({flip for *_, flip in seen}) == 2
        assert len({(top, left) for _, top, left, _ in seen}) > 12


def test_one_worker_is_that_loop_too(loops):
    ours, _ = loops
    plain = Plain(ROW, made(24), 0, 1)
    for losses in (ours.epoch(1), plain.epoch(1), plain.epoch()):  # an epoch that was left is no part of the next
        assert all(0 < loss < 10 for loss in losses)
    assert len(losses) == 3


def test_a_line_has_a_ratio_and_a_control(monkeypatch):
    monkeypatch.setattr(training_loop, "MINIMUM_BLOCKS", 2)
    row = dataclasses.replace(ROW, images=16, config=training_loop.small(32, 1))
    line = training_loop.compared(row, made(16), 0, budget_s=0, seed=0)
    assert "(2 blocks of 2 × 2 steps" in line
    assert "control" in line
