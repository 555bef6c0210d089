"""Multiply-adds of a ViT or ResNet by arithmetic from its config alone: the count that no tool can get wrong.

A multiply-add of a convolution or matrix product is one MAC (Dosovitskiy et al. 2021 and torchvision count so); norms,
activations, softmax, pooling and whatever a position embedding adds or rotates are not. For a ViT of S tokens, N
patches of P² pixels, C channels, width D, depth L and K classes the sum is

    N·(C·P²)·D  +  L·(4·S·D² + 2·S·D·hidden)  +  L·2·S²·D  +  D·K.

A causal mask takes nothing away: masked scores are computed all the same.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.sizes import as_pair
from vitbench.declare.vit import ViTConfig


@dataclass(frozen=True)
class Product:
    """One convolution or matrix product for one image: ``outputs`` elements, each a sum of ``terms`` products."""

    outputs: int
    terms: int
    input_gradient: bool = True  # the first layer passes none on: nobody asks for the image's

    @property
    def macs(self) -> int:
        return self.outputs * self.terms

    @property
    def macs_backward(self) -> int:
        """The gradient of each of the two factors costs as much as the product itself."""
        return self.macs * (2 if self.input_gradient else 1)


@dataclass(frozen=True)
class Form:
    """Sums over all products, per image."""

    macs: int
    macs_backward: int
    activations: int


def closed_form(config: ViTConfig | ResNetConfig) -> Form:
    products = list(_vit(config) if isinstance(config, ViTConfig) else _resnet(config))
    return Form(
        macs=sum(p.macs for p in products),
        macs_backward=sum(p.macs_backward for p in products),
        activations=sum(p.outputs for p in products),
    )


def _vit(c: ViTConfig) -> Iterator[Product]:
    features = c.in_chans
    if c.stem == "conv":
        features = yield from _conv_stem(c)
    elif c.stem == "hybrid":
        features = yield from _hybrid_stem(c)
    patch_height, patch_width = (side // c.feature_stride for side in as_pair(c.patch_size))
    yield Product(
        c.num_patches * c.embed_dim, features * patch_height * patch_width, input_gradient=c.stem != "patchify"
    )
    tokens = c.num_prefix_tokens + c.num_patches
    for _ in range(c.depth):
        yield Product(tokens * 3 * c.embed_dim, c.embed_dim)  # qkv
        yield Product(c.num_heads * tokens * tokens, c.head_dim)  # scores
        yield Product(tokens * c.embed_dim, tokens)  # weighted values
        yield Product(tokens * c.embed_dim, c.embed_dim)  # projection
        for _ in range(2 if c.mlp == "swiglu" else 1):
            yield Product(tokens * c.mlp_dim, c.embed_dim)
        yield Product(tokens * c.embed_dim, c.mlp_dim)
    if c.pool == "map":
        yield Product(c.embed_dim, c.embed_dim)  # the one query
        yield Product(tokens * 2 * c.embed_dim, c.embed_dim)
        yield Product(c.num_heads * tokens, c.head_dim)
        yield Product(c.embed_dim, tokens)
        yield Product(c.embed_dim, c.embed_dim)
        yield Product(c.mlp_dim, c.embed_dim)
        yield Product(c.embed_dim, c.mlp_dim)
    width = c.embed_dim
    if c.representation_size is not None:
        yield Product(c.representation_size, width)
        width = c.representation_size
    for _ in range(2 if c.distilled else 1):
        yield Product(c.num_classes, width)


def _conv_stem(c: ViTConfig) -> Generator[Product, None, int]:
    """3×3 of stride 2 with doubling channels, the last ``embed_dim``."""
    height, width = as_pair(c.img_size)
    halvings = as_pair(c.patch_size)[0].bit_length() - 1
    inputs = c.in_chans
    for left in reversed(range(halvings)):
        height, width = height // 2, width // 2
        outputs = c.embed_dim >> left
        yield Product(height * width * outputs, 9 * inputs, input_gradient=left != halvings - 1)
        inputs = outputs
    return inputs


def _hybrid_stem(c: ViTConfig) -> Generator[Product, None, int]:
    """A ResNet with bottlenecks, without its classifier; every first block of a stage has a 1×1 in its shortcut."""
    height, width = (side // 2 for side in as_pair(c.img_size))
    channels = c.hybrid_width
    yield Product(height * width * channels, 49 * c.in_chans, input_gradient=False)
    height, width = height // 2, width // 2
    for stage, count in enumerate(c.hybrid_layers):
        inner = c.hybrid_width * 2**stage
        for index in range(count):
            before = height * width
            if stage and not index:
                height, width = height // 2, width // 2
            yield from _bottleneck(before, height * width, channels, inner)
            if not index:
                yield Product(height * width * 4 * inner, channels)
            channels = 4 * inner
    return channels


def _bottleneck(before: int, pixels: int, channels: int, inner: int) -> Iterator[Product]:
    """The stride sits in the 3×3."""
    yield Product(before * inner, channels)
    yield Product(pixels * inner, 9 * inner)
    yield Product(pixels * 4 * inner, inner)


def _resnet(c: ResNetConfig) -> Iterator[Product]:
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
                yield from _bottleneck(before, pixels, channels, inner)
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
