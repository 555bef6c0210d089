"""Mixup and cutmix by their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vitbench.train.mixup import Mixer, blend, cut_in

LABELS = torch.tensor([0, 1, 2, 2])


def _mixer(seed=0, **alphas):
    return Mixer(**{"mixup": 0.0, "cutmix": 0.0, **alphas}, num_classes=3, seed=seed)


def _images(seed=0):
    return torch.rand(4, 2, 6, 6, generator=torch.Generator().manual_seed(seed))


def test_a_share_of_one_leaves_everything_alone():
    for mix in (lambda x: blend(x, 1.0), lambda x: cut_in(x, 1.0, (0.3, 0.9))):
        images = _images()
        mix(images)
        assert torch.equal(images, _images())


def test_blending_by_hand():
    images = torch.tensor([[[[1.0]]], [[[5.0]]], [[[9.0]]]])
    blend(images, 0.75)
    assert images.flatten().tolist() == [0.75 * 1 + 0.25 * 9, 5.0, 0.75 * 9 + 0.25 * 1]


@given(st.floats(0, 1), st.floats(0, 0.999), st.floats(0, 0.999), st.integers(1, 12), st.integers(1, 12))
def test_the_share_is_the_area_that_remains(share, down, across, height, width):
    images = torch.stack((torch.zeros(1, height, width), torch.ones(1, height, width)))
    remains = cut_in(images, share, (down, across))
    assert (images[0] == 0).double().mean().item() == pytest.approx(remains)
    assert (images[1] == 1).double().mean().item() == pytest.approx(remains)
    changed = images[0, 0].nonzero()
    if len(changed):  # a full rectangle
        (top, left), (bottom, right) = changed.amin(0).tolist(), changed.amax(0).tolist()
        assert len(changed) == (bottom - top + 1) * (right - left + 1)


def test_an_uncut_rectangle_has_the_area_that_was_drawn():
    images = torch.stack((torch.zeros(1, 20, 20), torch.ones(1, 20, 20)))
    assert cut_in(images, 0.75, (0.5, 0.5)) == 0.75  # 10 × 10 of 20 × 20


@pytest.mark.parametrize("alphas", [{"mixup": 0.8}, {"cutmix": 1.0}, {"mixup": 0.8, "cutmix": 1.0}])
def test_labels_are_mixed_as_the_pixels_are(alphas):
    """Image i is all i: what its pixels average to says how much of its counterpart it took."""
    mixer = _mixer(**alphas)
    for _ in range(20):
        images = torch.arange(4.0)[:, None, None, None].expand(4, 2, 6, 6).clone()
        mixed, targets = mixer(images, LABELS)
        share = 1 - mixed[0].mean() / 3
        hot = torch.eye(3)[LABELS]
        torch.testing.assert_close(targets, share * hot + (1 - share) * hot.flip(0))
        torch.testing.assert_close(targets.sum(1), torch.ones(4))


def test_shares_are_beta_and_mean_images_stay():
    """Beta(a, a) has mean 1/2 and variance 1 / (8a + 4); mixing moves no pixel's mean over the batch."""
    mixer = _mixer(mixup=0.4)
    shares = []
    for _ in range(3000):
        images = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).clone()
        mixed, _ = mixer(images, torch.tensor([0, 1]))
        shares.append(1 - mixed[0].item())
        assert mixed.mean().item() == pytest.approx(0.5)
    assert np.mean(shares) == pytest.approx(0.5, abs=0.02)
    assert np.var(shares) == pytest.approx(1 / (8 * 0.4 + 4), rel=0.06)


def test_with_both_half_of_the_batches_are_cut():
    mixer, cut = _mixer(mixup=0.8, cutmix=1.0), 0
    for _ in range(1000):
        mixed, _ = mixer(torch.arange(2.0)[:, None, None, None].expand(2, 1, 8, 8).clone(), torch.tensor([0, 1]))
        cut += set(mixed.unique().tolist()) <= {0.0, 1.0}
    assert cut / 1000 == pytest.approx(0.5, abs=0.06)


def test_what_one_draws_does_not_depend_on_the_other():
    """A batch that is cut is cut alike, and a batch that is blended blended alike, whether both are on or one."""
    both, cut, blended = _mixer(mixup=0.8, cutmix=1.0), _mixer(cutmix=1.0), _mixer(mixup=0.8)
    same = [0, 0]
    for number in range(50):
        outs = [mixer(_images(number), LABELS)[1] for mixer in (both, cut, blended)]
        same[0] += torch.equal(outs[0], outs[1])
        same[1] += torch.equal(outs[0], outs[2])
    assert sum(same) >= 50
    assert min(same) > 10


def test_another_seed_mixes_otherwise():
    assert not torch.equal(*(_mixer(seed, mixup=0.8)(_images(), LABELS)[0] for seed in (0, 1)))
