"""What a data set is, without its images. No torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """A data set's shape, sizes and what may be done to its images.

    ``version`` changes whenever an image, a label or the split does; a record's id covers it.
    """

    name: str
    version: str
    img_size: int  # side in pixels; images are square
    in_chans: int
    num_classes: int
    classes: tuple[str, ...]
    num_train: int
    num_val: int
    num_test: int
    shift: bool  # a shift by some pixels keeps the label
    flip: bool  # a mirror image keeps the label
    chance: float  # test accuracy of always naming the class that is most frequent there

    def as_dict(self) -> dict[str, object]:
        return dataclasses.asdict(self)
