"""The default data set: 1,797 handwritten digits, 8×8, values 0 to 16 (scikit-learn's ``load_digits``).

They are the test part of UCI's "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak 1998); 0 is background.
An RBF support vector machine on the pixels (scikit-learn's ``SVC(C=10)``) reaches 98.3 % validation accuracy and 98.9 %
test accuracy.
"""

from __future__ import annotations

import numpy as np
import sklearn.datasets  # takes a second: the fork server imports this module once for all trials

from vitbench.data.dataset import Dataset, make_embedded, make_split
from vitbench.data.spec import DataSpec
from vitbench.data.split import stratified

SPEC = DataSpec(
    name="digits",
    version="1",
    img_size=8,
    in_chans=1,
    num_classes=10,
    classes=tuple("0123456789"),
    num_train=1077,
    num_val=360,
    num_test=360,
    shift=True,
    flip=False,
    chance=37 / 360,
)


def load() -> Dataset:
    digits = sklearn.datasets.load_digits()
    images, labels = digits.images.astype(np.uint8)[:, None], digits.target
    splits = stratified(labels.tolist(), num_val=SPEC.num_val, num_test=SPEC.num_test)
    return make_embedded(SPEC, *(make_split(images, labels, rows) for rows in splits))
