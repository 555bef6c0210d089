"""Synthetic task with a known answer: which quadrant contains the square? Unsolvable without position.

A 16×16 image of noise contains one bright 3×3 square. Each scene is drawn with the square in the upper left quadrant
and appears four times in a split, rolled by 0 or 8 pixels down and right together with its noise. The four images
consist of the same 8×8 blocks in a different order, and so of the same patches for any patch size that divides 8.

A model that ignores the order of patches (a ViT without position embedding) must answer all four images alike and is
right on exactly one: its accuracy is exactly 25 %. A model with positions can reach 100 %. The square's offset has the
same distribution in all quadrants, uniform modulo 2 and 4, so the way the patch grid cuts the square is uninformative.
A convolution with zero padding can solve the task through the border (Kayhan and van Gemert, arXiv 2003.07064).
"""

from __future__ import annotations

import numpy as np

from vitbench.data.dataset import Dataset, Split, make_embedded, make_split
from vitbench.data.spec import DataSpec

SPEC = DataSpec(
    name="quadrant",
    version="1",
    img_size=16,
    in_chans=1,
    num_classes=4,
    classes=("upper left", "upper right", "lower left", "lower right"),
    num_train=512,
    num_val=200,
    num_test=1000,
    shift=False,
    flip=False,
    chance=0.25,
)

HALF = SPEC.img_size // 2
MARK = 3  # side of the square
OFFSETS = np.arange(HALF - MARK + 1)  # of the square in its quadrant
OFFSET_ODDS = np.array([1, 1, 2, 2, 1, 1]) / 8  # uniform modulo 4: offsets 0 and 4 share the probability of 2
BACKGROUND, BRIGHT = (0, 96), (160, 256)  # half-open ranges of brightness
SEED = 20_001


def _scenes(count: int, rng: np.random.Generator) -> Split:
    """A split of ``count`` scenes with four images each, in the order of ``SPEC.classes``."""
    side = SPEC.img_size
    scenes = rng.integers(*BACKGROUND, size=(count, side, side))
    down, right = rng.choice(OFFSETS, size=(2, count), p=OFFSET_ODDS)[:, :, None, None]
    row, column = np.arange(side)[:, None], np.arange(side)
    inside = (row >= down) & (row < down + MARK) & (column >= right) & (column < right + MARK)
    scenes = np.where(inside, rng.integers(*BRIGHT, size=(count, 1, 1)), scenes)
    moved = [np.roll(scenes, (HALF * i, HALF * j), axis=(1, 2)) for i in (0, 1) for j in (0, 1)]
    images = np.stack(moved, axis=1).reshape(-1, 1, side, side).astype(np.uint8)
    return make_split(images, np.tile(np.arange(4), count))


def load() -> Dataset:
    rng = np.random.Generator(np.random.PCG64(SEED))
    return make_embedded(SPEC, *(_scenes(n // 4, rng) for n in (SPEC.num_train, SPEC.num_val, SPEC.num_test)))
