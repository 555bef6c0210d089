"""Synthetic task with a known answer: which colour fills the most cells? Position carries no information.

A 16×16 image has 4×4 cells of 4 pixels, each red, green, blue or yellow. The most frequent colour leads by at least two
cells.

The colours of the cells are independent, so every permutation of an image's cells is equally likely and has the same
label. A model that counts reaches 100 %, with or without position embedding: an ablation of positions must find no
difference. The classes are equally frequent, so guessing gives 25 %.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vitbench.data.dataset import Dataset, Split, make_embedded, make_split
from vitbench.data.spec import DataSpec

SPEC = DataSpec(
    name="majority",
    version="1",
    img_size=16,
    in_chans=3,
    num_classes=4,
    classes=("red", "green", "blue", "yellow"),
    num_train=512,
    num_val=200,
    num_test=1000,
    shift=False,
    flip=False,
    chance=0.25,
)

COLOURS = np.array([(220, 40, 40), (40, 180, 60), (50, 80, 220), (230, 210, 40)], dtype=np.uint8)
CELLS = 4  # along a side
LEAD = 2  # cells between the most frequent colour and the next
SEED = 20_002


def _cells(count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Colours of the cells, (count, 16), where one colour leads by ``LEAD``."""
    kept = np.empty((0, CELLS * CELLS), dtype=np.int64)
    while len(kept) < count:
        drawn = rng.integers(len(COLOURS), size=(2 * count, CELLS * CELLS))
        tally = np.sort((drawn[:, :, None] == np.arange(len(COLOURS))).sum(axis=1), axis=1)
        kept = np.concatenate([kept, drawn[tally[:, -1] - tally[:, -2] >= LEAD]])
    return kept[:count]


def _images(count: int, rng: np.random.Generator) -> Split:
    cells = _cells(count, rng)
    winner = (cells[:, :, None] == np.arange(len(COLOURS))).sum(axis=1).argmax(axis=1)
    label = np.arange(count) % len(COLOURS)
    cells = (cells + (label - winner)[:, None]) % len(
        COLOURS
    )  # permute the colours so that the classes have equal size
    pixels = COLOURS[cells].reshape(count, CELLS, CELLS, 3)
    side = SPEC.img_size // CELLS
    images = pixels.repeat(side, axis=1).repeat(side, axis=2).transpose(0, 3, 1, 2)
    return make_split(images, label)


def load() -> Dataset:
    rng = np.random.Generator(np.random.PCG64(SEED))
    return make_embedded(SPEC, *(_images(n, rng) for n in (SPEC.num_train, SPEC.num_val, SPEC.num_test)))
