"""Data sets at another resolution, against block means and Pillow's own resize."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vitbench.data import load
from vitbench.data.resize import resized
from vitbench.declare.sizes import scaled
from vitbench.utils.errors import UserError


@given(seed=st.integers(0, 99), side=st.integers(2, 40), goal=st.integers(1, 40))
def test_a_photograph_is_resized_as_pillow_does_it(seed, side, goal):
    """Pillow's bilinear filter widens with the reduction likewise; in fixed point it may round the other way."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side), dtype=np.uint8)
    ours = resized(torch.from_numpy(pixels)[None, None], goal)[0, 0].numpy().astype(int)
    theirs = np.asarray(Image.fromarray(pixels).resize((goal, goal), Image.Resampling.BILINEAR)).astype(int)
    assert ours.shape == (goal, goal)
    assert np.abs(ours - theirs).max() <= 1


def test_every_split_is_resized_and_the_statistics_follow():
    whole, half = load("digits"), load("digits", scale=0.5)
    assert (whole.spec.img_size, half.spec.img_size) == (8, 4)
    for part in ("train", "val", "test"):
        before, after = getattr(whole, part), getattr(half, part)
        assert after.images.shape == (len(before), 1, 4, 4)
        assert after.images.dtype == before.images.dtype
        assert torch.equal(after.labels, before.labels)
    assert half.mean.item() == pytest.approx(half.train.images.double().mean().item())
    assert half.std.item() == pytest.approx(half.train.images.double().std(correction=0).item())
    assert half.std < whole.std  # averaging takes detail away
    # digits end at the border, whose pixels count more where the filter is cut off: the mean moves a little
    assert half.mean.item() == pytest.approx(whole.mean.item(), rel=0.05)


def test_a_part_of_a_resized_set_is_the_same_part():
    few, whole = load("digits", fraction=0.1, seed=3, scale=2.0), load("digits", fraction=0.1, seed=3)
    assert torch.equal(few.train.labels, whole.train.labels)
    assert few.train.images.shape[-1] == 16


def test_a_folder_is_decoded_at_the_new_side(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for k in range(10):
            Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(tmp_path / name / f"{k}.png")
    asked, scaled_ = load(f"folder:{tmp_path}@10"), load(f"folder:{tmp_path}", scale=0.5)
    assert scaled_.spec.img_size == 10
    assert torch.equal(asked.train.images, scaled_.train.images)
    assert load(f"folder:{tmp_path}@10", scale=2.0).spec.img_size == 20


@given(side=st.integers(1, 500), scale=st.floats(0.01, 4))
def test_a_side_is_at_least_a_pixel(side, scale):
    assert scaled(side, scale) >= 1
    assert abs(scaled(side, scale) - side * scale) <= 1


def test_streams_of_ones_own_cannot_be_resized():
    class Streamed:
        spec = load("digits").spec
        train = val = test = None

    from vitbench.data.resize import resize

    with pytest.raises(UserError, match=r"data\.scale=2: digits is streamed at one size"):
        resize(Streamed(), 2.0)
