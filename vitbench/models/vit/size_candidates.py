"""The sizes of a ViT: width by whole heads' worth of channels or by whole heads, and depth. No torch.

``embed_dim`` keeps the number of heads; ``num_heads`` keeps the size of a head, and ``embed_dim`` follows.
"""

from __future__ import annotations

import dataclasses

from vitbench.declare.vit import ViTConfig
from vitbench.models.size_candidates import SizeCandidates, Sizes, depths, widths


def _embed_dim(config: ViTConfig) -> SizeCandidates:
    sizes = widths(config.embed_dim, step=config.num_heads)
    return SizeCandidates("embed_dim", sizes, config.embed_dim, lambda size: {"embed_dim": size})


def _num_heads(config: ViTConfig) -> SizeCandidates:
    sizes, head_dim = widths(config.num_heads, step=1), config.head_dim
    return SizeCandidates(
        "num_heads", sizes, config.num_heads, lambda size: {"num_heads": size, "embed_dim": size * head_dim}
    )


def _depth(config: ViTConfig) -> SizeCandidates:
    return SizeCandidates("depth", depths(config.depth), config.depth, lambda size: {"depth": size})


SIZES = Sizes(
    usual=("embed_dim", "depth"),
    candidates={"embed_dim": _embed_dim, "num_heads": _num_heads, "depth": _depth},
    blocks=lambda config: (config.depth,),
    with_blocks=lambda config, blocks: dataclasses.replace(config, depth=blocks[0]),
)
