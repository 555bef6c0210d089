"""Mixup and cutmix: each batch is mixed with itself in reverse order, images and labels alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from vitbench.train.seeds import numpy_generator


class Mixer:
    """Mixes batches by mixup (Zhang et al. 2017) or cutmix (Yun et al. 2019).

    Each batch has one share, drawn from Beta(alpha, alpha). With both on, each batch uses one of them at random, with
    equal probability. Their streams are separate, so that turning one off does not change the draws of the other.

    Args:
        mixup: alpha; 0: off.
        cutmix: alpha; 0: off.
        num_classes: length of the soft targets.
        seed: seed of the trial.
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
        """The state of the random streams."""
        return [dict(stream.bit_generator.state) for stream in self._streams]

    def restore(self, state: Sequence[Mapping[str, Any]]) -> None:
        """Restores a state of the random streams."""
        for stream, found in zip(self._streams, state, strict=True):
            stream.bit_generator.state = found


def blend(images: Float[Tensor, "batch chans height width"], share: float) -> None:
    """Blends ``share`` of each image with ``1 - share`` of its partner in the reversed batch, in place."""
    partners = images.flip(0)
    images.mul_(share).add_(partners, alpha=1 - share)


def cut_in(images: Float[Tensor, "batch chans height width"], share: float, centre: tuple[float, float]) -> float:
    """Pastes a rectangle of the partner image in place and returns the share of the area that remains.

    The rectangle covers about ``1 - share`` of the area, has the image's aspect ratio and is clipped at the border.
    ``centre`` is its centre, as fractions down and across.
    """
    sides = []
    for size, fraction in zip(images.shape[2:], centre, strict=True):
        length, middle = round(size * math.sqrt(1 - share)), int(size * fraction)
        first = middle - length // 2
        sides.append((max(first, 0), min(first + length, size)))
    (top, bottom), (left, right) = sides
    images[:, :, top:bottom, left:right] = images.flip(0)[:, :, top:bottom, left:right]
    return 1 - (bottom - top) * (right - left) / math.prod(images.shape[2:])
