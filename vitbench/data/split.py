"""Deterministic splits: the same on every machine and for every seed."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

MIN_TRAIN_IMAGES = 10
"""Minimum size of a data set that is split here."""


def stratified(
    labels: Sequence[int], *, num_val: int, num_test: int, keys: Sequence[str] | None = None
) -> tuple[list[int], list[int], list[int]]:
    """Indices of the training, validation and test splits, stratified by class to within one image.

    The images of a class are ordered by the SHA-256 of their key (default: the index). There is no random generator, so
    no library version can move an image to another split.
    """
    names = [str(i) for i in range(len(labels))] if keys is None else keys
    shuffled = sorted(
        range(len(labels)), key=lambda i: hashlib.sha256(f"split:{names[i]}".encode(errors="surrogateescape")).digest()
    )
    size, seen = Counter(labels), Counter[int]()
    quantile = {}
    for i in shuffled:
        quantile[i] = (seen[labels[i]] + 0.5) / size[labels[i]]
        seen[labels[i]] += 1
    order = sorted(shuffled, key=quantile.__getitem__)
    test, val, train = order[:num_test], order[num_test : num_test + num_val], order[num_test + num_val :]
    return sorted(train), sorted(val), sorted(test)
