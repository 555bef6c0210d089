"""Stratified subsets of a training split; with one seed, smaller subsets are contained in larger ones."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

from vitbench.utils.errors import UserError, choices


def rows(
    labels: Sequence[int], classes: Sequence[str], *, fraction: float = 1.0, per_class: int | None = None, seed: int = 0
) -> list[int]:
    """Sorted indices of the training images to keep.

    The images of a class are ordered by a SHA-256 of the seed and their index. ``per_class`` keeps that many of each
    class. ``fraction`` keeps one image of each class, then fills all classes evenly, to within one image.

    Raises:
        UserError: ``fraction`` is not in (0, 1], both are given, or a class has or keeps too few images.
    """
    if isinstance(fraction, bool) or not 0 < fraction <= 1:
        raise UserError(
            f"data.fraction = {fraction} is not a fraction of the training images: give more than 0, at most 1"
        )
    if per_class is not None and fraction != 1:
        raise UserError(
            f"data.fraction = {fraction} and data.per_class = {per_class} contradict each other: give only one"
        )
    if fraction == 1 and per_class is None:
        return list(range(len(labels)))
    size, rank = Counter(labels), _ranks(labels, seed)
    if per_class is not None:
        _check_per_class(per_class, size, classes)
        return [row for row, position in enumerate(rank) if position < per_class]
    count = round(fraction * len(labels))
    if count < len(size):
        raise UserError(
            f"data.fraction = {fraction} of {len(labels)} training images leaves {count} for {len(size)} classes: "
            f"give at least {len(size) / len(labels):.2g}"
        )
    quantile = [
        (position + 0.5) / size[label] if position else 0.0 for position, label in zip(rank, labels, strict=True)
    ]
    return sorted(sorted(range(len(labels)), key=quantile.__getitem__)[:count])


def _ranks(labels: Sequence[int], seed: int) -> list[int]:
    """The rank of each image within its class, from 0."""
    order = sorted(range(len(labels)), key=lambda row: hashlib.sha256(f"subset:{seed}:{row}".encode()).digest())
    seen, rank = Counter[int](), [0] * len(labels)
    for row in order:
        rank[row] = seen[labels[row]]
        seen[labels[row]] += 1
    return rank


def _check_per_class(per_class: int, size: Counter[int], classes: Sequence[str]) -> None:
    if type(per_class) is not int or per_class < 1:
        raise UserError(f"data.per_class = {per_class!r} is not a number of images: give at least 1")
    few = [label for label in sorted(size) if size[label] < per_class]
    if few:
        least = min(size.values())
        raise UserError(
            f"data.per_class = {per_class} is more than the training images of "
            f"{choices(classes[i] for i in few)}: give 1 to {least}"
        )
