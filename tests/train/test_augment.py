from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vitbench.train import augment


def _by_hand(image: np.ndarray, down: int, right: int, mirrored: bool) -> np.ndarray:
    """Pixel by pixel: what comes from outside is 0; first the mirror, then the shift."""
    channels, height, width = image.shape
    source = image[:, :, ::-1] if mirrored else image
    out = np.zeros_like(image)
    for c in range(channels):
        for i in range(height):
            for j in range(width):
                if 0 <= i - down < height and 0 <= j - right < width:
                    out[c, i, j] = source[c, i - down, j - right]
    return out


@given(st.integers(0, 3), st.integers(1, 3), st.integers(2, 5), st.integers(2, 5), st.integers(0, 99))
def test_take_shifts_and_mirrors_each_image_as_by_hand(shift_px, channels, height, width, seed):
    rng = np.random.default_rng(seed)
    images = torch.from_numpy(rng.integers(1, 256, size=(6, channels, height, width), dtype=np.uint8))
    shifts, flips = augment.draw(6, shift_px=shift_px, flip=True, generator=torch.Generator().manual_seed(seed))
    index = torch.from_numpy(rng.integers(6, size=4))
    taken = augment.take(augment.pad(images, shift_px), index, shifts[index], flips[index], shift_px=shift_px).numpy()
    for out, i in zip(taken, index.tolist(), strict=True):
        # mirrored columns are read from the other end, so a mirrored image moves right by as much
        expected = _by_hand(images[i].numpy(), int(shifts[i, 0]), _right(shifts[i, 1], flips[i]), bool(flips[i]))
        assert (out == expected).all()


def _right(shift, flipped) -> int:
    return int(-shift if flipped else shift)


def test_no_shift_and_no_flip_leave_the_images_alone():
    images = torch.arange(2 * 3 * 4 * 4).reshape(2, 3, 4, 4)
    shifts, flips = augment.draw(2, shift_px=0, flip=False, generator=torch.Generator())
    assert torch.equal(augment.take(images, torch.arange(2), shifts, flips, shift_px=0), images)


def test_every_shift_is_as_frequent_and_flips_are_half():
    shifts, flips = augment.draw(9000, shift_px=1, flip=True, generator=torch.Generator().manual_seed(0))
    cells, counts = shifts.unique(dim=0, return_counts=True)
    assert sorted(map(tuple, cells.tolist())) == [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    assert (counts - 1000).abs().max() < 150
    assert flips.double().mean().item() == pytest.approx(0.5, abs=0.03)


def test_what_is_drawn_for_one_does_not_depend_on_the_other():
    def drawn(**settings):
        return augment.draw(50, generator=torch.Generator().manual_seed(3), **settings)

    assert torch.equal(drawn(shift_px=2, flip=True)[0], drawn(shift_px=2, flip=False)[0])
    assert torch.equal(drawn(shift_px=2, flip=True)[1], drawn(shift_px=0, flip=True)[1])
