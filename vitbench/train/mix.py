"""Mixup and cutmix: a batch mixed with itself in reverse, and its labels with it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from vitbench.train.seeds import numpy_generator


class Mixer:
    """Mixes each batch: images by mixup (Zhang et al. 2017) or cutmix (Yun et al. 2019), labels by the same share.

    One share a batch, from Beta(alpha, alpha). Where both are on, a coin decides for each batch. Each has a stream of
    its own, so that turning one off leaves the other's draws alone.

    Args:
        mixup: alpha; 0: off.
        cutmix: alpha; 0: off.
        num_classes: length of the soft targets.
        seed: of the trial.
    """

    def __init__(self, *, mixup: float, cutmix: float, num_classes: int, seed: int) -> None:
        self.mixup, self.cutmix, self.num_classes = mixup, cutmix, num_classes
        self._streams = [numpy_generator(seed, name) for name in ("mix", "mixup", "cutmix", "cutmix place")]
        self._coin, self._mixup, self._cutmix, self._place = self._streams

    def __call__(
        self, images: Float[Tensor, "batch chans height width"], labels: Int[Tensor, " batch"]
    ) -> tuple[Tensor, Float[Tensor, "batch classes"]]:
        """The mixed images, changed in place, and the soft targets."""
        cut = self._coin.random() < 0.5
        shares = [
            float(stream.beta(alpha, alpha)) if alpha else 1.0
            for alpha, stream in ((self.mixup, self._mixup), (self.cutmix, self._cutmix))
        ]
        place = self._place.random(2)
        if self.cutmix and (cut or not self.mixup):
            share = cut_in(images, shares[1], (float(place[0]), float(place[1])))
        else:
            share = shares[0]
            blend(images, share)
        hot = functional.one_hot(labels, self.num_classes).to(images.dtype)
        return images, hot * share + hot.flip(0) * (1 - share)

    def state(self) -> list[dict[str, Any]]:
        """Of its streams."""
        return [dict(stream.bit_generator.state) for stream in self._streams]

    def restore(self, state: Sequence[Mapping[str, Any]]) -> None:
        """The next batch is mixed as it would have been."""
        for stream, found in zip(self._streams, state, strict=True):
            stream.bit_generator.state = found


def blend(images: Float[Tensor, "batch chans height width"], share: float) -> None:
    """``share`` of each image with the rest of its counterpart's in the reversed batch, in place."""
    other = images.flip(0)
    images.mul_(share).add_(other, alpha=1 - share)


def cut_in(images: Float[Tensor, "batch chans height width"], share: float, centre: tuple[float, float]) -> float:
    """A rectangle of about ``1 - share`` of the area from the reversed batch, in place.

    It has the image's proportions and its centre anywhere (``centre``: fractions down and across), and is cut off at
    the border; the share of the image that truly remains is returned.
    """
    sides = []
    for size, at in zip(images.shape[2:], centre, strict=True):
        length, middle = round(size * math.sqrt(1 - share)), int(size * at)
        first = middle - length // 2
        sides.append((max(first, 0), min(first + length, size)))
    (top, bottom), (left, right) = sides
    images[:, :, top:bottom, left:right] = images.flip(0)[:, :, top:bottom, left:right]
    return 1 - (bottom - top) * (right - left) / math.prod(images.shape[2:])
