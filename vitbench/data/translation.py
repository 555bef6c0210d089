"""Known answer: is a digit that was learned at one place known at another?

The digits of ``digits``, 8×8, stand on an empty ground of 16×16. In training and validation they stand in the centre.
The 360 test digits are shown three times: at that same place, at one of the eight other places a multiple of 4 pixels
away, and anywhere at all, each of the 81 places as likely. ``test_groups`` names the three; read them apart.

What is known: where patches have a side of 4 pixels, a shift by a multiple of 4 moves patches and changes none. A ViT
without position embedding is given the same set of patches: it answers exactly as at the first place, image by image.
One with positions has seen empty ground everywhere else: what positions it never trained on add to a digit decides how
much it loses, from little (learned ones that start near 0) to nearly all (learned ones that start large). Any other
shift cuts the digit differently, into patches that no ViT has seen. A CNN with circular padding answers exactly alike
for shifts by multiples of its total stride; with zero padding the border tells on it a little. No model is invariant to
any shift: strides alias (Azulay and Weiss, arXiv 1805.12177). ``python -m vitbench.ablate translation``, six seeds, in
the order of the groups: ViT without positions 97.0, 97.0, 24.1 %; learned ones that start with a spread of 1 97.7,
23.9, 14.4, of .02 97.1, 94.8, 23.1; CNN zero-padded 99.3, 95.7, 31.3, circular 99.3, 99.3, 32.5. The accuracy of the
whole test split mixes the three: by itself it says how much the shifts cost, and not which.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor

from vitbench.data.dataset import Dataset, Split, make_dataset, make_split
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
    shift=False,  # it would show in training what the test asks about
    flip=False,
    chance=37 / 360,
    test_groups=tuple((name, DIGITS) for name in GROUPS),
)

ROOM = SPEC.img_size - 8  # the largest offset, down and right
HOME = ROOM // 2  # offset in training, both ways
STEP = 4  # pixels; the side of the patches for which the answer is known
SEED = 20_004


def _placed(digits: Tensor, offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Digits (n, 1, 8, 8) at their offsets (n, 2) on 0, the digits' own background."""
    images = np.zeros((len(digits), 1, SPEC.img_size, SPEC.img_size), dtype=np.uint8)
    for image, digit, (down, right) in zip(images, digits.numpy(), offsets, strict=True):
        image[:, down : down + 8, right : right + 8] = digit
    return images


def load() -> Dataset:
    from vitbench.data.digits import load as load_digits  # scikit-learn: a second

    source = load_digits()
    rng = np.random.Generator(np.random.PCG64(SEED))
    aligned = np.array([(i, j) for i in range(0, ROOM + 1, STEP) for j in range(0, ROOM + 1, STEP)])
    aligned = aligned[(aligned != HOME).any(axis=1)]
    home = np.full((DIGITS, 2), HOME)
    groups = (home, aligned[rng.integers(len(aligned), size=DIGITS)], rng.integers(ROOM + 1, size=(DIGITS, 2)))
    train, val, test = (split for split in (source.train, source.val, source.test) if isinstance(split, Split))
    at_home = [
        make_split(_placed(split.images, np.full((len(split), 2), HOME)), split.labels.numpy())
        for split in (train, val)
    ]
    shown = np.concatenate([_placed(test.images, offsets) for offsets in groups])
    return make_dataset(
        name=SPEC.name,
        version=SPEC.version,
        classes=SPEC.classes,
        train=at_home[0],
        val=at_home[1],
        test=make_split(shown, np.tile(test.labels.numpy(), len(groups))),
        shift=SPEC.shift,
        flip=SPEC.flip,
        test_groups=SPEC.test_groups,
    )
