"""Random rectangles against their definition, and cutting out against slicing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional

from vitbench.train.random_crops import cut_out, draw_boxes


def _drawn(count=4000, area=(0.08, 1.0), ratio=(3 / 4, 4 / 3), seed=0):
    return draw_boxes(count, area=area, ratio=ratio, generator=torch.Generator().manual_seed(seed))


@given(st.floats(0.01, 1), st.floats(0.01, 1), st.integers(0, 99))
def test_boxes_lie_inside_with_area_and_ratio_within_bounds(one, other, seed):
    area = min(one, other), max(one, other)
    top, left, height, width = _drawn(50, area, seed=seed).double().T
    assert (torch.stack((top, left)) >= 0).all()
    assert (torch.stack((top + height, left + width)) <= 1 + 1e-6).all()
    drawn = ~((height == 1) & (width == 1))  # the whole image stands for ten sizes that did not fit
    assert ((height * width)[drawn] >= area[0] - 1e-6).all()
    assert ((height * width)[drawn] <= area[1] + 1e-6).all()
    assert ((width / height).log().abs() <= np.log(4 / 3) + 1e-6).all()


def test_small_areas_are_uniform_and_places_too():
    top, _, height, width = _drawn(area=(0.1, 0.5)).double().T
    areas = (height * width).sort().values
    expected = torch.linspace(0.1, 0.5, len(areas), dtype=torch.float64)
    assert (areas - expected).abs().max() < 0.015  # Kolmogorov-Smirnov, 0.04 of the range at 4000 draws
    places = (top / (1 - height)).sort().values
    assert (places - torch.linspace(0, 1, len(places), dtype=torch.float64)).abs().max() < 0.03


def test_what_is_drawn_takes_the_same_numbers_from_the_stream_whatever_the_bounds():
    after = []
    for area in ((0.08, 1.0), (0.9, 1.0)):
        generator = torch.Generator().manual_seed(0)
        draw_boxes(10, area=area, ratio=(3 / 4, 4 / 3), generator=generator)
        after.append(torch.rand(3, generator=generator))
    assert torch.equal(*after)


def test_the_whole_image_is_itself():
    images = torch.randint(256, (3, 2, 5, 5), dtype=torch.uint8)
    whole = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).expand(3, 4)
    torch.testing.assert_close(cut_out(images, whole), images.float(), atol=1e-3, rtol=0)


def test_a_part_is_that_part_resized():
    """Inside, where no neighbour from beyond the cut has a say; of two images two different parts."""
    images = torch.rand(2, 3, 16, 16) * 255
    boxes = torch.tensor([[0.25, 0.5, 0.5, 0.25], [0.0, 0.125, 0.75, 0.5]])
    cut = cut_out(images, boxes)
    parts = (images[:1, :, 4:12, 8:12], images[1:, :, 0:12, 2:10])
    for out, part in zip(cut, parts, strict=True):
        expected = functional.interpolate(part, size=(16, 16), mode="bilinear", align_corners=False)[0]
        torch.testing.assert_close(out[:, 2:-2, 3:-3], expected[:, 2:-2, 3:-3], atol=1e-2, rtol=0)


def test_a_part_is_what_pillow_cuts_out():
    pixels = np.random.default_rng(0).integers(256, size=(12, 12), dtype=np.uint8)
    box = (0.1, 0.3, 0.55, 0.45)  # top, left, height, width
    theirs = Image.fromarray(pixels).resize(
        (12, 12), Image.Resampling.BILINEAR, box=(12 * 0.3, 12 * 0.1, 12 * 0.75, 12 * 0.65)
    )
    ours = cut_out(torch.from_numpy(pixels)[None, None], torch.tensor([box]))[0, 0]
    assert np.abs(ours.numpy() - np.asarray(theirs, dtype=float)).max() == pytest.approx(0, abs=1.01)  # Pillow rounds
