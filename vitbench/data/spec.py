"""The description of a data set without its images; imports no torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DataSpec:
    """The shape, sizes and permitted augmentations of a data set.

    ``version`` changes with any image, label or split, and is part of a record's id.

    Raises:
        ValueError: the test groups do not add up to the test split.
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
    shift: bool  # whether shifting a training image by a few pixels preserves its label
    flip: bool  # whether mirroring a training image preserves its label
    chance: float  # test accuracy of always predicting the most frequent class
    test_groups: tuple[tuple[str, int], ...] = ()
    """Names and sizes of consecutive parts of the test split that are reported separately."""

    def __post_init__(self) -> None:
        if self.test_groups and sum(size for _, size in self.test_groups) != self.num_test:
            raise ValueError(f"test_groups {self.test_groups} do not add up to the {self.num_test} test images")

    def as_dict(self) -> dict[str, object]:
        return dataclasses.asdict(self)
