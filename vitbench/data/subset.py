"""Part of a training split: stratified, and for one seed each part lies within every larger one."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

from vitbench.utils.errors import UserError, choices


def rows(
    labels: Sequence[int], classes: Sequence[str], *, fraction: float = 1.0, per_class: int | None = None, seed: int = 0
) -> list[int]:
    """Which images of a training split to keep, in their order.

    A seed puts the images of each class in an order of their own, that of a SHA-256. ``per_class`` keeps the first so
    many of each. ``fraction`` keeps one of each class, then whatever class has the smallest part of itself: every class
    has its share to within one image.

    Raises:
        UserError: not a fraction, both given, fewer images than classes, or a class with too few images.
    """
    if isinstance(fraction, bool) or not 0 < fraction <= 1:
        raise UserError(f"data.fraction = {fraction} is no part of the training images: it takes more than 0, up to 1")
    if per_class is not None and fraction != 1:
        raise UserError(
            f"data.fraction = {fraction} and data.per_class = {per_class} ask for two sizes: give one of them"
        )
    if fraction == 1 and per_class is None:
        return list(range(len(labels)))
    size, place = Counter(labels), _places(labels, seed)
    if per_class is not None:
        _check_per_class(per_class, size, classes)
        return [row for row, at in enumerate(place) if at < per_class]
    count = round(fraction * len(labels))
    if count < len(size):
        raise UserError(
            f"data.fraction = {fraction} of {len(labels)} training images leaves {count} for {len(size)} classes: "
            f"it takes {len(size) / len(labels):.2g} or more"
        )
    share = [(at + 0.5) / size[label] if at else 0.0 for at, label in zip(place, labels, strict=True)]
    return sorted(sorted(range(len(labels)), key=share.__getitem__)[:count])


def _places(labels: Sequence[int], seed: int) -> list[int]:
    """Where each image stands in its class's order, from 0."""
    order = sorted(range(len(labels)), key=lambda row: hashlib.sha256(f"subset:{seed}:{row}".encode()).digest())
    seen, place = Counter[int](), [0] * len(labels)
    for row in order:
        place[row] = seen[labels[row]]
        seen[labels[row]] += 1
    return place


def _check_per_class(per_class: int, size: Counter[int], classes: Sequence[str]) -> None:
    if type(per_class) is not int or per_class < 1:
        raise UserError(f"data.per_class = {per_class!r} is no number of images: it takes 1 or more")
    few = [label for label in sorted(size) if size[label] < per_class]
    if few:
        least = min(size.values())
        raise UserError(
            f"data.per_class = {per_class} is more than there are training images of "
            f"{choices(classes[i] for i in few)}: it takes 1 to {least}"
        )
