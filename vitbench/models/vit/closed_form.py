"""The multiply-adds of a ViT by arithmetic from its config alone. No torch.

For S tokens, N patches of P² pixels, C channels, width D, depth L and K classes the sum is

    N·(C·P²)·D  +  L·(4·S·D² + 2·S·D·hidden)  +  L·2·S²·D  +  D·K.

A causal mask saves nothing: masked scores are computed all the same.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

from vitbench.declare.sizes import as_pair
from vitbench.declare.vit import ViTConfig
from vitbench.models.products import Product, bottleneck


def products(c: ViTConfig) -> Iterator[Product]:
    """Every product of one image's forward pass."""
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
            yield from bottleneck(before, height * width, channels, inner)
            if not index:
                yield Product(height * width * 4 * inner, channels)
            channels = 4 * inner
    return channels
