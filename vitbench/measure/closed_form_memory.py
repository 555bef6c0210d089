"""Peak memory of a plain ViT by arithmetic from its config: what the modelled peak is held against.

Plain is the published family (ViT-Ti, S, B, L; any patch, image, width, depth, head): layer norms before, GELU, fused
attention, learned positions, a class token or the mean, no dropout. T tokens in a batch, width D, MLP M, H heads.

Inference peaks in a block's MLP, at its second map. Alive are the tokens that entered the block, those with
attention's output added, what the norm made of them, what the second map puts out (4·T·D) and the hidden layer (T·M;
the activation works in place); or, where that is narrow, in attention: input, norm, q k v, what the heads put out and
its projection (7·T·D).

A training step keeps of each block, for its backward pass, the input, two norms' outputs, q k v, attention's output
and the sum after it (8·T·D), the MLP before and after its activation (2·T·M), the norms' statistics (4·T) and a number
a row of scores (H·T): Korthikanti et al. (2022, eq. 1) without the scores, which fused attention never stores, and
without dropout's masks. It peaks at the backward pass of the last block's second map, when the gradients of block
output and hidden layer are there (T·D + T·M) and of weights those of head, last norm and that map. With few tokens and
large weights the gradients of the blocks below outweigh what they release, and with an MLP narrower than 2·D the last
norm weighs more: it peaks elsewhere, and there is no formula here.
"""

from __future__ import annotations

from vitbench.config import ViTConfig, as_pair
from vitbench.measure.peak_memory import MemoryPeak

FLOAT = 4
"""Bytes."""

_SIZES = {"img_size", "patch_size", "in_chans", "num_classes", "embed_dim", "depth", "num_heads", "mlp_ratio"}
_FREE = frozenset(_SIZES | {"pool", "init", "pos_embed_std", "norm_eps", "qkv_bias"})
"""Fields that the formulas cover at any value; the others stand at their defaults."""


def closed_form(config: object, batch_size: int, *, training: bool) -> MemoryPeak | None:
    """The peak in float32, or None where there is no formula for such a model or step."""
    if not isinstance(config, ViTConfig) or not _plain(config):
        return None
    images = batch_size * config.in_chans * _product(config.img_size)
    weights = parameters(config)
    tokens = batch_size * (config.num_patches + config.num_prefix_tokens)
    width, hidden = config.embed_dim, config.mlp_dim
    rows = tokens * config.num_heads
    if not training:
        inside = tokens * max(4 * width + hidden, 7 * width)
        return _peak(parameters=weights, activations=images + inside)
    kept = tokens * (8 * width + 2 * hidden + 4) + rows
    in_a_block = 4 * width**2 + 2 * width * hidden + (8 + config.qkv_bias * 3 - 1) * width + hidden
    if kept < in_a_block or hidden < 2 * width:
        return None
    head = (width + 1) * config.num_classes
    return _peak(
        parameters=weights,
        gradients=head + 2 * width + width * hidden + width,
        optimizer=2 * weights + tensors(config),
        activations=images + config.depth * kept + 2 * batch_size + 1,  # labels of eight bytes, the loss
        workspace=tokens * (width + hidden) + 1,
    )


def parameters(config: ViTConfig) -> int:
    """Weights of a plain ViT."""
    width, hidden = config.embed_dim, config.mlp_dim
    stem = config.in_chans * _product(config.patch_size) * width + width
    places = (config.num_patches + config.num_prefix_tokens) * width + config.num_prefix_tokens * width
    attention = 4 * width**2 + (3 * config.qkv_bias + 1) * width
    block = attention + 2 * width * hidden + hidden + width + 4 * width
    return stem + places + config.depth * block + 2 * width + (width + 1) * config.num_classes


def tensors(config: ViTConfig) -> int:
    """Parameters, as tensors: of each the optimiser counts its steps."""
    return 2 + 1 + config.num_prefix_tokens + config.depth * (11 + config.qkv_bias) + 2 + 2 * bool(config.num_classes)


def _plain(config: ViTConfig) -> bool:
    usual = ViTConfig()
    others = (name for name in usual.__dataclass_fields__ if name not in _FREE)
    return config.pool in {"cls", "mean"} and all(getattr(config, name) == getattr(usual, name) for name in others)


def _product(sides: int | tuple[int, int]) -> int:
    height, width = as_pair(sides)
    return height * width


def _peak(**numbers: int) -> MemoryPeak:
    """Of numbers of elements."""
    parts = {part: FLOAT * numbers.get(part, 0) for part in ("parameters", "gradients", "optimizer", "activations")}
    parts["workspace"] = FLOAT * numbers.get("workspace", 0)
    return MemoryPeak(bytes=sum(parts.values()), **parts)
