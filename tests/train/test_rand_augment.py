"""Operations on colours against Pillow's, moves against their geometry, and who gets which."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from vitbench.train import color, rand_augment
from vitbench.train.rand_augment import COLORS, GEOMETRIC

SIDE = 17


def _pixels(seed=0):
    """Smooth enough to have equal levels, uneven enough to have a tail."""
    rng = np.random.default_rng(seed)
    return (rng.beta(0.6, 1.5, size=(SIDE, SIDE, 3)) * 200 + 20).astype(np.uint8)


def _tensor(pixels):
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None].float()


def _array(image):
    return np.asarray(image, dtype=float).transpose(2, 0, 1)


PILLOW = {
    "autocontrast": (color.autocontrast, ImageOps.autocontrast),
    "equalize": (color.equalize, ImageOps.equalize),
    "posterize 3": (lambda x: color.posterize(x, 3), lambda i: ImageOps.posterize(i, 3)),
    "solarize 60": (lambda x: color.solarize(x, 60), lambda i: ImageOps.solarize(i, 60)),
}
for factor in (0.1, 0.7, 1.9):
    for ours, theirs in (
        (color.brightness, ImageEnhance.Brightness),
        (color.contrast, ImageEnhance.Contrast),
        (color.color, ImageEnhance.Color),
        (color.sharpness, ImageEnhance.Sharpness),
    ):
        PILLOW[f"{ours.__name__} {factor}"] = (
            lambda x, f=ours, k=factor: f(x, torch.tensor([k])),
            lambda i, f=theirs, k=factor: f(i).enhance(k),
        )


@pytest.mark.parametrize("name", PILLOW)
def test_colours_are_pillows(name):
    """Within what Pillow loses by rounding to bytes in between; equalize and autocontrast jump where it rounds."""
    ours, theirs = PILLOW[name]
    pixels = _pixels()
    expected = _array(theirs(Image.fromarray(pixels)))
    found = ours(_tensor(pixels))[0].numpy()
    assert np.abs(found - expected).max() <= 2


def test_a_batch_is_its_images_one_by_one():
    batch = torch.cat([_tensor(_pixels(seed)) for seed in range(4)])
    for operation in (color.equalize, color.autocontrast):
        torch.testing.assert_close(operation(batch), torch.cat([operation(x[None]) for x in batch]))
    factors = torch.tensor([0.1, 0.5, 1.0, 1.7])
    for enhance in (color.brightness, color.contrast, color.color, color.sharpness):
        one_by_one = torch.cat([enhance(x[None], f[None]) for x, f in zip(batch, factors, strict=True)])
        torch.testing.assert_close(enhance(batch, factors), one_by_one)


def test_flat_images_survive():
    flat = torch.full((2, 3, 5, 5), 90.0)
    for operation in (color.autocontrast, color.equalize):
        assert torch.equal(operation(flat), flat)


def _moved(name, strength, images):
    return rand_augment.move(images, rand_augment.matrix(name, strength)[None].expand(len(images), 2, 3))


def test_moves_by_their_geometry():
    images = torch.zeros(1, 1, 20, 20)
    images[0, 0, 10, 4] = 1  # right of and below the middle by -5.5 and .5 pixels
    shifted = _moved("translate_x", 10 / 20 / 0.45, images)  # half the side, to the left
    assert shifted.sum() == 0
    shifted = _moved("translate_x", -5 / 20 / 0.45, images)
    assert shifted[0, 0, 10, 9].item() == pytest.approx(1, abs=1e-4)
    shifted = _moved("translate_y", 5 / 20 / 0.45, images)
    assert shifted[0, 0, 5, 4].item() == pytest.approx(1, abs=1e-4)


def test_three_rotations_by_thirty_degrees_are_pillows_by_ninety():
    y, x = np.mgrid[:33, :33]
    smooth = (127 + 120 * np.exp(-((x - 11) ** 2 + (y - 20) ** 2) / 60)).astype(np.float32)
    images = torch.from_numpy(smooth)[None, None]
    for _ in range(3):
        images = _moved("rotate", 1.0, images)
    inside = (x - 16) ** 2 + (y - 16) ** 2 < 14**2
    turned = images[0, 0].numpy()
    errors = [np.abs(turned - np.rot90(smooth, k))[inside].max() for k in (1, 3)]
    assert min(errors) < 3 < max(errors)


@pytest.mark.parametrize(("name", "axis"), [("shear_x", 3), ("shear_y", 2)])
def test_a_shear_moves_rows_by_their_height(name, axis):
    images = torch.zeros(1, 1, 21, 21)
    images.select(axis, 10).fill_(1)  # a line through the middle, along the other axis
    centre = _moved(name, 1.0, images)[0, 0]
    if axis == 2:
        centre = centre.T
    at = (centre * torch.arange(21.0)).sum(1) / centre.sum(1)  # centre of mass of each row
    slope = (at[18] - at[2]) / 16
    assert abs(slope.item()) == pytest.approx(0.3, abs=0.01)


def test_magnitude_zero_moves_nothing_and_keeps_bytes():
    images = torch.cat([_tensor(_pixels(seed)) for seed in range(3)])
    for name in (*GEOMETRIC, "posterize", "solarize", "color", "contrast", "brightness", "sharpness"):
        names = (name,)
        draws = rand_augment.Draws(torch.zeros(3, 1, dtype=torch.long), torch.ones(3, 1), names)
        out = rand_augment.apply(images, draws, 0)
        torch.testing.assert_close(out, images, atol=1e-2, rtol=0)


def _draw(count, rounds=2, names=("identity", *GEOMETRIC, *COLORS), seed=0):
    return rand_augment.draw(count, rounds, names, torch.Generator().manual_seed(seed))


def test_each_image_gets_what_it_drew():
    batch = torch.cat([_tensor(_pixels(seed)) for seed in range(12)])
    draws = _draw(12, rounds=3)
    together = rand_augment.apply(batch, draws, 7)
    for i in range(12):
        row = torch.tensor([i])
        torch.testing.assert_close(
            rand_augment.apply(batch[i : i + 1], draws[row], 7)[0], together[i], atol=1e-2, rtol=0
        )
    assert together.min() >= 0
    assert together.max() <= 255
    assert torch.equal(batch[0], _tensor(_pixels(0))[0])  # what came in is as it was


def test_every_operation_is_as_frequent_and_signs_are_half():
    draws = _draw(7000)
    counts = draws.which.flatten().bincount(minlength=14)
    assert len(counts) == 14
    assert (counts - 1000).abs().max() < 150
    assert draws.signs.mean().abs() < 0.03
    assert torch.equal(_draw(50, rounds=1).which, _draw(50, rounds=2).which[:, :1])


def test_colours_take_three_channels_of_bytes():
    byte, full = torch.uint8, torch.float32
    assert len(rand_augment.operations(torch.zeros(1, 3, 2, 2, dtype=byte))) == 14
    for images in (torch.zeros(1, 1, 2, 2, dtype=byte), torch.zeros(1, 3, 2, 2, dtype=full)):
        assert rand_augment.operations(images) == ("identity", *GEOMETRIC)


def test_pillows_smoothing_is_the_one_that_sharpness_leaves():
    pixels = _pixels()
    theirs = _array(Image.fromarray(pixels).filter(ImageFilter.SMOOTH))
    ours = color.sharpness(_tensor(pixels), torch.zeros(1))[0].numpy()
    assert np.abs(ours - theirs)[:, 1:-1, 1:-1].max() <= 1
