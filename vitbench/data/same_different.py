"""Known answer: are the two glyphs the same? One must be compared with the other.

A 16×16 image shows two glyphs of 4×4 pixels in two of its sixteen cells of 4 pixels. Half of a glyph's pixels are
bright, so every image has the same number of bright pixels. A scene draws two places and two glyphs, A and B, and
enters a split four times: A A and B B (same), A B and B A (different). No glyph of a split occurs in another, so none
can be recalled in the test.

What is known: in both classes each place shows A once and B once, so no pixel and no patch by itself tells the label. A
model that adds up what each cell says (patches scored apart, by place or not, and a threshold) is
right on three of a scene's four images at most: the scores of the two same images have the sum of those of the two
different ones, so not both can lie above the threshold and both others below. That is at most 75 %, and guessing gives
50 %. Where the glyphs are does not matter, so a ViT without position embedding loses nothing; attention compares any
two patches in one step. A CNN must carry one glyph to the other through its layers and is expected to lag behind where
images are few (``python -m vitbench.ablate same_different``, six seeds: ViT 97.6 %, without positions 98.8 %, ResNet
73.3 %; Messina et al. 2019: residual networks learn it, VGG does not; Vaishnav et al., arXiv 2108.03603: attention
helps CNNs). Few matter: of 16,000 such images one epoch sufficed a ResNet of 77,000 parameters for 98.5 % of the
validation split (one seed), so this is no task that a CNN cannot learn. 2,000 was chosen after that, because there the
two differ: what the task shows is a statement about few images.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from vitbench.data.dataset import Dataset, Split, make_dataset, make_split
from vitbench.data.spec import DataSpec

SPEC = DataSpec(
    name="same_different",
    version="1",
    img_size=16,
    in_chans=1,
    num_classes=2,
    classes=("same", "different"),
    num_train=2000,
    num_val=400,
    num_test=2000,
    shift=False,  # a glyph that leaves its cell is another task
    flip=False,
    chance=0.5,
)

GLYPH = 4  # pixels along a side, and so of a cell
CELLS = SPEC.img_size // GLYPH  # along a side
BRIGHT = GLYPH * GLYPH // 2  # pixels of a glyph
SHARES = (0.8, 0.05, 0.15)  # of the glyphs, for training, validation and test
SEED = 20_003


def glyphs() -> npt.NDArray[np.uint8]:
    """(12870, 4, 4), values 0 and 255: every glyph there is, in an order that the seed drew."""
    bright = np.array(list(itertools.combinations(range(GLYPH * GLYPH), BRIGHT)))
    every = np.zeros((len(bright), GLYPH * GLYPH), dtype=np.uint8)
    np.put_along_axis(every, bright, 255, axis=1)
    order = np.random.Generator(np.random.PCG64(SEED)).permutation(len(every))
    return every[order].reshape(-1, GLYPH, GLYPH)


def _scenes(count: int, pool: npt.NDArray[np.uint8], rng: np.random.Generator) -> Split:
    """``count`` scenes, four images each: A A, A B, B B, B A."""
    places = rng.permuted(np.tile(np.arange(CELLS * CELLS), (count, 1)), axis=1)[:, :2]
    first = rng.integers(len(pool), size=count)
    second = (first + rng.integers(1, len(pool), size=count)) % len(pool)  # never the same
    cells = np.zeros((count, 4, CELLS * CELLS, GLYPH, GLYPH), dtype=np.uint8)
    scene = np.arange(count)
    for image, pair in enumerate(((first, first), (first, second), (second, second), (second, first))):
        for place, glyph in enumerate(pair):
            cells[scene, image, places[:, place]] = pool[glyph]
    side = SPEC.img_size
    images = cells.reshape(-1, CELLS, CELLS, GLYPH, GLYPH).transpose(0, 1, 3, 2, 4).reshape(-1, 1, side, side)
    return make_split(images, np.tile(np.array([0, 1, 0, 1]), count))


def load() -> Dataset:
    every = glyphs()
    pools = np.split(every, (np.cumsum(SHARES[:2]) * len(every)).astype(int))
    rng = np.random.Generator(np.random.PCG64(SEED + 1))
    sizes = (SPEC.num_train, SPEC.num_val, SPEC.num_test)
    train, val, test = (_scenes(n // 4, pool, rng) for n, pool in zip(sizes, pools, strict=True))
    return make_dataset(
        name=SPEC.name,
        version=SPEC.version,
        classes=SPEC.classes,
        train=train,
        val=val,
        test=test,
        shift=SPEC.shift,
        flip=SPEC.flip,
    )
