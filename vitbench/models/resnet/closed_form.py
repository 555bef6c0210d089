"""The multiply-adds of a residual network by arithmetic from its config alone. No torch."""

from __future__ import annotations

from collections.abc import Iterator

from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.sizes import as_pair
from vitbench.models.products import Product, bottleneck


def products(c: ResNetConfig) -> Iterator[Product]:
    """Every product of one image's forward pass."""
    block, layers = c.stages
    expansion = 4 if block == "bottleneck" else 1
    height, width = as_pair(c.img_size)
    if c.stem == "imagenet":
        height, width = _half(height), _half(width)
    pixels = height * width
    if c.stem == "imagenet" and c.variant == "d":
        half = c.width // 2
        yield Product(pixels * half, 9 * c.in_chans, input_gradient=False)
        yield Product(pixels * half, 9 * half)
        yield Product(pixels * c.width, 9 * half)
    else:
        yield Product(pixels * c.width, c.in_chans * (49 if c.stem == "imagenet" else 9), input_gradient=False)
    if c.stem == "imagenet":  # the max-pool
        height, width = _half(height), _half(width)
    channels = c.width
    for stage, count in enumerate(layers):
        inner = c.width * 2**stage
        outer = inner * expansion
        for index in range(count):
            before = height * width
            if stage and not index:
                height, width = _half(height), _half(width)
            pixels = height * width
            if block == "bottleneck":
                yield from bottleneck(before, pixels, channels, inner)
            else:
                yield Product(pixels * inner, 9 * channels)
                yield Product(pixels * outer, 9 * inner)
            if c.residual and not index and (stage or channels != outer):  # the shortcut's 1×1
                yield Product(pixels * outer, channels)
            channels = outer
    yield Product(c.num_classes, channels)


def _half(side: int) -> int:
    """What a stride of 2 leaves, with the padding of these networks."""
    return (side + 1) // 2
