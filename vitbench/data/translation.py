"""Synthetic task with a known answer: does a model recognise a digit at a position where it never saw one?

The 8×8 digits of ``digits`` are placed on an empty 16×16 background, in training and validation at the centre. Each of
the 360 test digits is shown three times: at the centre, at one of the eight other positions that are a multiple of
4 pixels away, and at a random one of all 81 positions. ``test_groups`` names these groups; the accuracy of the whole
test split is their mean and does not show which shift costs accuracy.

With patches of 4 pixels, a shift by a multiple of 4 permutes the patches and changes none, so a ViT without position
embedding answers exactly as at the centre. With positions, the loss of accuracy depends on the position vectors away
from the centre, where training showed only background: it is small for a learned embedding initialised near 0 and
nearly total for a large one. Any other shift cuts the digit into patches that no ViT has seen. A CNN with circular
padding is exactly invariant to shifts by multiples of its total stride; zero padding breaks this slightly at the
border. No model is invariant to every shift, because strides alias (Azulay and Weiss, arXiv 1805.12177).

Accuracy in percent by group, measured with ``python -m vitbench.ablate translation`` (six seeds):

    ViT without positions                           97.0  97.0  24.1
    ViT, learned positions, initial deviation 1     97.7  23.9  14.4
    ViT, learned positions, initial deviation .02   97.1  94.8  23.1
    CNN with zero padding                           99.3  95.7  31.3
    CNN with circular padding                       99.3  99.3  32.5
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor

from vitbench.data.dataset import Dataset, Split, make_embedded, make_split
from vitbench.data.spec import DataSpec

DIGITS = 360  # test digits, each shown once in every group
GROUPS = ("same place", "shifts by multiples of 4 px", "any shift")

SPEC = DataSpec(
    name="translation",
    version="1",
    img_size=16,
    in_chans=1,
    num_classes=10,
    classes=tuple("0123456789"),
    num_train=1077,
    num_val=360,
    num_test=len(GROUPS) * DIGITS,
    shift=False,  # would train on the shifts that the test measures
    flip=False,
    chance=37 / 360,
    test_groups=tuple((name, DIGITS) for name in GROUPS),
)

MAX_OFFSET = SPEC.img_size - 8  # down and right
CENTRE = MAX_OFFSET // 2  # offset in training, down and right
STEP = 4  # pixels; the patch size for which the answer is known
SEED = 20_004


def _placed(digits: Tensor, offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Digits (n, 1, 8, 8) placed at offsets (n, 2) on a background of 0, as in the digits themselves."""
    images = np.zeros((len(digits), 1, SPEC.img_size, SPEC.img_size), dtype=np.uint8)
    for image, digit, (down, right) in zip(images, digits.numpy(), offsets, strict=True):
        image[:, down : down + 8, right : right + 8] = digit
    return images


def load() -> Dataset:
    from vitbench.data.digits import load as load_digits  # needs scikit-learn, which takes a second

    source = load_digits()
    rng = np.random.Generator(np.random.PCG64(SEED))
    steps = range(0, MAX_OFFSET + 1, STEP)
    aligned = np.array([(i, j) for i in steps for j in steps])
    aligned = aligned[(aligned != CENTRE).any(axis=1)]
    centre = np.full((DIGITS, 2), CENTRE)
    groups = (centre, aligned[rng.integers(len(aligned), size=DIGITS)], rng.integers(MAX_OFFSET + 1, size=(DIGITS, 2)))
    train, val, test = (split for split in (source.train, source.val, source.test) if isinstance(split, Split))
    train, val = (
        make_split(_placed(split.images, np.full((len(split), 2), CENTRE)), split.labels.numpy())
        for split in (train, val)
    )
    shown = np.concatenate([_placed(test.images, offsets) for offsets in groups])
    return make_embedded(SPEC, train, val, make_split(shown, np.tile(test.labels.numpy(), len(groups))))
