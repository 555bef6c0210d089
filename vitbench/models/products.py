"""Convolutions and matrix products of one image, which the closed form of a family's counts lists one by one. No torch.

A multiply-add of a convolution or matrix product is one MAC (Dosovitskiy et al. 2021 and torchvision count so). Norms,
activations, softmax, pooling and whatever a position embedding adds or rotates are not counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Product:
    """One convolution or matrix product for one image: ``outputs`` elements, each a sum of ``terms`` products."""

    outputs: int
    terms: int
    input_gradient: bool = True  # False for the first layer: nobody needs the gradient of the image

    @property
    def macs(self) -> int:
        return self.outputs * self.terms

    @property
    def macs_backward(self) -> int:
        """The gradient of each of the two factors costs as many MACs as the product itself."""
        return self.macs * (2 if self.input_gradient else 1)


def bottleneck(before: int, pixels: int, channels: int, inner: int) -> Iterator[Product]:
    """The three convolutions of a bottleneck block, whose 3×3 has the stride: from ``before`` pixels to ``pixels``."""
    yield Product(before * inner, channels)
    yield Product(pixels * inner, 9 * inner)
    yield Product(pixels * 4 * inner, inner)
