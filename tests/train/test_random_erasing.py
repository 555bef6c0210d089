"""Random erasing: how often, how much, and nothing else."""

from __future__ import annotations

import pytest
import torch

from vitbench.train import random_erasing


def _drawn(count, probability, seed=0):
    return random_erasing.draw(count, probability=probability, generator=torch.Generator().manual_seed(seed))


def _erased(count=300, probability=1.0, size=(40, 40)):
    images = torch.full((count, 2, *size), 7.0)
    erasures = _drawn(count, probability)
    return erasures, random_erasing.erase(images, erasures, torch.arange(count), torch.Generator().manual_seed(1))


def test_the_share_of_images_is_the_probability():
    for probability in (0.0, 0.25, 1.0):
        chosen, out = _erased(2000, probability, size=(4, 4))
        touched = (out != 7).flatten(1).any(1)
        assert torch.equal(touched, chosen.chosen)
        assert touched.double().mean().item() == pytest.approx(probability, abs=0.03)


def test_what_is_erased_is_a_rectangle_of_its_area_all_channels_alike():
    erasures, out = _erased()
    for image, (_, _, height, width) in zip(out, erasures.boxes.tolist(), strict=True):
        gone = image != 7
        assert torch.equal(gone[0], gone[1])
        rows, columns = gone[0].any(1), gone[0].any(0)
        assert torch.equal(gone[0], rows[:, None] & columns[None, :])
        assert int(rows.sum()) == max(1, round(height * 40))
        assert int(columns.sum()) == max(1, round(width * 40))
    areas = (out[:, 0] != 7).double().mean((1, 2))
    assert areas.mean().item() == pytest.approx((0.02 + 1 / 3) / 2, abs=0.02)


def test_what_stands_there_is_standard_noise():
    _, out = _erased(1000)
    noise = out[out != 7]
    assert noise.mean().item() == pytest.approx(0, abs=0.01)
    assert noise.std().item() == pytest.approx(1, abs=0.01)


def test_rows_say_which_images_these_are():
    erasures = _drawn(10, 0.5)
    rows = torch.tensor([7, 2, 5])
    out = random_erasing.erase(torch.full((3, 1, 8, 8), 7.0), erasures, rows, torch.Generator())
    assert (out != 7).flatten(1).any(1).tolist() == erasures.chosen[rows].tolist()


def test_a_place_does_not_depend_on_the_probability():
    assert torch.equal(_drawn(20, 0.1).boxes, _drawn(20, 0.9).boxes)
