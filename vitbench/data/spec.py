"""What a data set is, without its images. No torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """A data set's shape, sizes and what may be done to its images.

    ``version`` changes whenever an image, a label or the split does; a record's id covers it.

    Raises:
        ValueError: the groups are not the test split.
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
    shift: bool  # training images may be shifted by some pixels: the label stays, and so does the question
    flip: bool  # training images may be mirrored, likewise
    chance: float  # test accuracy of always naming the class that is most frequent there
    test_groups: tuple[tuple[str, int], ...] = ()
    """Names and sizes of consecutive parts of the test split that are to be read apart; none: it is one thing."""

    def __post_init__(self) -> None:
        if self.test_groups and sum(size for _, size in self.test_groups) != self.num_test:
            raise ValueError(f"test_groups {self.test_groups} do not add up to the {self.num_test} test images")

    def as_dict(self) -> dict[str, object]:
        return dataclasses.asdict(self)
