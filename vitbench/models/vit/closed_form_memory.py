"""Peak memory of a plain ViT by arithmetic from its config, to check the modelled peak against. No torch.

Plain is the published family (ViT-Ti, S, B, L; any patch, image, width, depth, head): layer norms before, GELU, fused
attention, learned positions, a class token or the mean, no dropout. T tokens in a batch, width D, MLP M, H heads.

Inference peaks in a block's MLP, at its second linear map. Alive are the block's input, its sum with attention's
output, the output of the norm, the output of the second map (4·T·D) and the hidden layer (T·M; the activation works in
place). Where the MLP is narrow, it peaks in attention: input, norm, q k v, the output of the heads and its projection
(7·T·D). Where there are many classes, it peaks at the scores.

For the backward pass, a training step keeps of each block the input, the outputs of two norms, q k v, attention's
output and the sum after it (8·T·D), the MLP before and after its activation (2·T·M), the norms' statistics (4·T) and
one number for each row of scores (H·T). This is Korthikanti et al. (2022, eq. 1) without the scores, which fused
attention never stores, and without dropout's masks. The backward pass then frees what it has used and adds gradients
of weights. Published models at large batches peak at the backward pass of the last block's second map, when the
gradients of block output and hidden layer exist (T·D + T·M), and those of the weights of head, last norm and that map.
With few tokens and large weights the peak is the end of the step, when all gradients exist. With a narrow MLP, many
classes or few channels it is one of the moments between, each of which has its line below.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vitbench.declare.sizes import as_pair
from vitbench.declare.vit import ViTConfig

_SIZES = {"img_size", "patch_size", "in_chans", "num_classes", "embed_dim", "depth", "num_heads", "mlp_ratio"}
_FREE = frozenset(_SIZES | {"pool", "init", "pos_embed_std", "norm_eps", "qkv_bias"})
"""Fields that the formulas cover at any value; all others must have their defaults."""


def elements_at_peak(config: ViTConfig, batch_size: int, *, training: bool) -> Mapping[str, int] | None:
    """Elements alive at the peak, by the parts of ``MemoryPeak``; None: not plain, or trained without classes."""
    if not _plain(config) or (training and not config.num_classes):
        return None
    weights = parameters(config)
    if not training:
        return {"parameters": weights, "activations": _inference(config, batch_size)}
    activations, gradients, workspace = max(_training(config, batch_size), key=sum)
    return {
        "parameters": weights,
        "gradients": gradients,
        "optimizer": 2 * weights + tensors(config),
        "activations": activations,
        "workspace": workspace,
    }


def _inference(config: ViTConfig, batch_size: int) -> int:
    """Elements of the activations at their peak."""
    tokens, width = _tokens(config, batch_size), config.embed_dim
    in_a_block = tokens * max(4 * width + config.mlp_dim, 7 * width)
    at_the_head = tokens * width + batch_size * (width + config.num_classes)
    return batch_size * _image(config) + max(in_a_block, at_the_head)


def _training(config: ViTConfig, batch_size: int) -> Iterator[tuple[int, int, int]]:
    """(activations, gradients, workspace) in elements, at each moment that can be the peak of a step, in order."""
    tokens, width, hidden = _tokens(config, batch_size), config.embed_dim, config.mlp_dim
    stream, inside, pooled, scores = (
        tokens * width,
        tokens * hidden,
        batch_size * width,
        batch_size * config.num_classes,
    )
    normed = batch_size if config.pool == "cls" else tokens  # rows of the last norm
    block = 8 * stream + 2 * inside + 4 * tokens + tokens * config.num_heads
    kept = batch_size * (_image(config) + 2) + config.depth * block  # a label has eight bytes
    yield kept + 2 * stream, 0, 0  # the last block's output

    kept += 1  # the loss, and in all that follows its gradient
    head = stream + 2 * normed
    yield kept + head + pooled + scores, 0, 1 + 2 * scores  # softmax
    gradients = (width + 1) * config.num_classes
    yield kept + head + pooled, gradients, 1 + scores + pooled  # classifier
    gradients += 2 * width
    yield kept + head, gradients, 1 + 2 * normed * width  # last norm
    if config.pool == "cls":
        yield kept, gradients, 1 + pooled + stream  # the class token's place among the others

    for _ in range(config.depth):
        gradients += width * hidden + width
        yield kept, gradients, 1 + stream + inside  # the MLP's second map
        kept -= 2 * inside
        gradients += width * hidden + hidden
        yield kept, gradients, 1 + 2 * stream + inside  # its first map
        kept -= stream
        gradients += 2 * width
        yield kept, gradients, 1 + 3 * stream  # its norm
        kept -= stream + 2 * tokens
        gradients += width**2 + width
        yield kept, gradients, 1 + 5 * stream  # attention
        kept -= 4 * stream + tokens * config.num_heads
        gradients += 3 * width**2 + 3 * width * config.qkv_bias
        yield kept, gradients, 1 + 5 * stream  # q k v
        kept -= 2 * stream + 2 * tokens
        gradients += 2 * width
    if batch_size == 1 and config.pool == "cls":  # the class token's gradient is a view of the whole stream's
        yield kept, parameters(config) - width + stream, 1
    else:
        yield kept, parameters(config), 1 + stream  # patches


def parameters(config: ViTConfig) -> int:
    """Number of weights of a plain ViT."""
    width, hidden = config.embed_dim, config.mlp_dim
    stem = config.in_chans * _product(config.patch_size) * width + width
    places = (config.num_patches + config.num_prefix_tokens) * width + config.num_prefix_tokens * width
    attention = 4 * width**2 + (3 * config.qkv_bias + 1) * width
    block = attention + 2 * width * hidden + hidden + width + 4 * width
    return stem + places + config.depth * block + 2 * width + (width + 1) * config.num_classes


def tensors(config: ViTConfig) -> int:
    """Number of parameter tensors: the optimiser counts the steps of each."""
    return 2 + 1 + config.num_prefix_tokens + config.depth * (11 + config.qkv_bias) + 2 + 2 * bool(config.num_classes)


def _plain(config: ViTConfig) -> bool:
    usual = ViTConfig()
    others = (name for name in usual.__dataclass_fields__ if name not in _FREE)
    return config.pool in {"cls", "mean"} and all(getattr(config, name) == getattr(usual, name) for name in others)


def _tokens(config: ViTConfig, batch_size: int) -> int:
    return batch_size * (config.num_patches + config.num_prefix_tokens)


def _image(config: ViTConfig) -> int:
    return config.in_chans * _product(config.img_size)


def _product(sides: int | tuple[int, int]) -> int:
    height, width = as_pair(sides)
    return height * width
