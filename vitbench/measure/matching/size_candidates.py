"""The sizes that a config's knobs can take while the model stays one of its family, from small to large.

| knob | of | steps |
|---|---|---|
| embed_dim | ViT | multiples of ``num_heads``, which is kept; of them what positions and stem allow |
| num_heads | ViT | whole heads of the size that they have; ``embed_dim`` goes along |
| depth | ViT | blocks |
| width | ResNet | channels of the first stage; with group norm multiples that leave it as many groups, or more |
| layers | ResNet | blocks in all, shared out over the stages in the proportions that they have |
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from vitbench.declare.resnet import RESNET_LAYERS, ResNetConfig
from vitbench.declare.vit import ViTConfig
from vitbench.utils.errors import ImpossibleConfigError, UserError, choices, unknown

Sized: TypeAlias = ViTConfig | ResNetConfig
"""Configs whose size is theirs to choose; an external model's is not."""

WIDEST, DEEPEST = 16, 4
"""Times its own size that a ladder goes up to; down it goes to the smallest that exists."""

FEWEST_STEPS = 24
"""Of depth: a model of one block may grow to so many."""


@dataclass(frozen=True)
class Ladder:
    """What one knob can be set to: ``sizes`` in rising order, one of which is the config's own."""

    name: str
    sizes: tuple[int, ...]
    own: int
    fields: Callable[[int], dict[str, Any]]  # size → the config's fields

    def distance(self, size: int) -> float:
        """How far from the config's own, as a factor either way."""
        return abs(math.log(size / self.own))


def ladders(config: Sized, vary: Sequence[str] | None) -> list[Ladder]:
    """The ladders of the knobs named; None: of those that make a size.

    Raises:
        UserError: nothing is named, a knob that is none of this config's, or two that move the same field.
    """
    makers = _MAKERS[type(config)]
    usual = {ViTConfig: ("embed_dim", "depth"), ResNetConfig: ("width", "layers")}[type(config)]
    names = usual if vary is None else (vary,) if isinstance(vary, str) else tuple(vary)
    kind = type(config).__name__
    if not names:
        raise UserError(f"there is nothing to vary: a {kind} has {choices(makers)}; write vary={usual!r}")
    for name in names:
        if name not in makers:
            raise UserError(unknown(f"knob of a {kind} to vary", name, makers))
    if len(set(names)) < len(names):
        raise UserError(f"vary={names!r} names a knob twice: each stands once, the first to give way first")
    if {"embed_dim", "num_heads"} <= set(names):
        raise UserError(
            "embed_dim and num_heads cannot both vary: embed_dim keeps the number of heads, num_heads their size; "
            "leave one of them out"
        )
    return [_possible(config, makers[name](config)) for name in names]


def at(config: Sized, sizes: Iterable[tuple[Ladder, int]]) -> Sized:
    """The config with these ladders at these sizes, all at once."""
    fields = {
        name: value for ladder, size in sizes if size != ladder.own for name, value in ladder.fields(size).items()
    }
    return dataclasses.replace(config, **fields)


def _possible(config: Sized, ladder: Ladder) -> Ladder:
    """Without the sizes that the config refuses."""

    def exists(size: int) -> bool:
        try:
            at(config, [(ladder, size)])
        except ImpossibleConfigError:
            return False
        return True

    return dataclasses.replace(ladder, sizes=tuple(filter(exists, ladder.sizes)))


def _embed_dim(config: ViTConfig) -> Ladder:
    sizes = range(config.num_heads, WIDEST * config.embed_dim + 1, config.num_heads)
    return Ladder("embed_dim", tuple(sizes), config.embed_dim, lambda size: {"embed_dim": size})


def _num_heads(config: ViTConfig) -> Ladder:
    sizes = range(1, WIDEST * config.num_heads + 1)
    head = config.head_dim
    return Ladder(
        "num_heads", tuple(sizes), config.num_heads, lambda size: {"num_heads": size, "embed_dim": size * head}
    )


def _depth(config: ViTConfig) -> Ladder:
    sizes = range(1, max(DEEPEST * config.depth, FEWEST_STEPS) + 1)
    return Ladder("depth", tuple(sizes), config.depth, lambda size: {"depth": size})


def _width(config: ResNetConfig) -> Ladder:
    step = math.gcd(32, config.width) if config.norm == "groupnorm" else 1
    sizes = range(step, WIDEST * config.width + 1, step)
    return Ladder("width", tuple(sizes), config.width, lambda size: {"width": size})


def _layers(config: ResNetConfig) -> Ladder:
    block, own = config.stages
    sizes = range(len(own), max(DEEPEST * sum(own), FEWEST_STEPS) + 1)

    def fields(size: int) -> dict[str, Any]:
        layers = shared_out(own, size)
        published = next((depth for depth, found in RESNET_LAYERS.items() if found == (block, layers)), None)
        return {"depth": published} | (
            {"layers": None, "block": None} if published else {"layers": layers, "block": block}
        )

    return Ladder("layers", tuple(sizes), sum(own), fields)


@functools.lru_cache(maxsize=4096)
def shared_out(own: tuple[int, ...], total: int) -> tuple[int, ...]:
    """So many blocks in the proportions of ``own``, one a stage at least (Sainte-Laguë's method).

    With every block more no stage gets shorter, and ``sum(own)`` blocks are ``own``.
    """
    found = [1] * len(own)
    for _ in range(total - len(own)):
        found[max(range(len(own)), key=lambda stage: own[stage] / (2 * found[stage] + 1))] += 1
    return tuple(found)


_MAKERS: Mapping[type[Sized], Mapping[str, Callable[[Any], Ladder]]] = {
    ViTConfig: {"embed_dim": _embed_dim, "num_heads": _num_heads, "depth": _depth},
    ResNetConfig: {"width": _width, "layers": _layers},
}
