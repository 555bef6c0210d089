"""The sizes of a ResNet: channels of its first stage, and blocks in all. No torch.

Blocks are divided over the stages in the proportions that they have. With group norm, widths are multiples that leave
as many groups, or more.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

from vitbench.declare.resnet import RESNET_LAYERS, ResNetConfig
from vitbench.models.size_candidates import SizeCandidates, Sizes, depths, widths


def _width(config: ResNetConfig) -> SizeCandidates:
    step = math.gcd(32, config.width) if config.norm == "groupnorm" else 1
    return SizeCandidates("width", widths(config.width, step), config.width, lambda size: {"width": size})


def _layers(config: ResNetConfig) -> SizeCandidates:
    block, own = config.stages

    def fields(size: int) -> dict[str, Any]:
        layers = distribute_blocks(own, size)
        published = next((depth for depth, found in RESNET_LAYERS.items() if found == (block, layers)), None)
        if published:
            return {"depth": published, "layers": None, "block": None}
        return {"depth": None, "layers": layers, "block": block}

    return SizeCandidates("layers", depths(sum(own), fewest=len(own)), sum(own), fields)


@functools.lru_cache(maxsize=4096)
def distribute_blocks(own: tuple[int, ...], total: int) -> tuple[int, ...]:
    """``total`` blocks in the proportions of ``own``, at least one in each stage (Sainte-Laguë's method).

    With each additional block no stage gets shorter, and ``sum(own)`` blocks give ``own``.
    """
    found = [1] * len(own)
    for _ in range(total - len(own)):
        found[max(range(len(own)), key=lambda stage: own[stage] / (2 * found[stage] + 1))] += 1
    return tuple(found)


SIZES = Sizes(
    usual=("width", "layers"),
    candidates={"width": _width, "layers": _layers},
    blocks=lambda config: config.stages[1],
    with_blocks=lambda config, blocks: dataclasses.replace(config, depth=None, layers=blocks, block=config.stages[0]),
)
