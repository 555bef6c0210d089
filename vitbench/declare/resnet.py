"""``ResNetConfig``: every setting of a residual network."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from vitbench.declare.model import Family, ModelConfig
from vitbench.declare.sizes import as_pair
from vitbench.utils.errors import ConfigError, ImpossibleConfigError, choices

ResNetStem: TypeAlias = Literal["imagenet", "cifar"]
ResNetBlock: TypeAlias = Literal["basic", "bottleneck"]
ResNetNorm: TypeAlias = Literal["batchnorm", "groupnorm"]
ResNetVariant: TypeAlias = Literal["plain", "d"]
Padding: TypeAlias = Literal["zeros", "circular"]

RESNET_LAYERS: Mapping[int, tuple[ResNetBlock, tuple[int, ...]]] = types.MappingProxyType(
    {
        18: ("basic", (2, 2, 2, 2)),
        34: ("basic", (3, 4, 6, 3)),
        50: ("bottleneck", (3, 4, 6, 3)),
        101: ("bottleneck", (3, 4, 23, 3)),
        152: ("bottleneck", (3, 8, 36, 3)),
    }
)
"""Depth → block and blocks per stage (He et al. 2015, table 1)."""

CIFAR_STEM_BELOW_PX = 64
"""Below this side, a ResNet that is adapted to data takes the 3×3 stride-1 stem. The ImageNet stem would leave it a
thirty-second of the resolution, and the comparison would be unfair: on CIFAR-100 a ResNet-18 is published at 66.5 %
with the ImageNet stem (Hassani et al. 2021), at 71 % with the other (kentaroy47/vision-transformers-cifar10)."""


@dataclass(frozen=True, kw_only=True)
class ResNetConfig(ModelConfig):
    """A residual network (He et al. 2015; v1.5 as torchvision builds it). The defaults are ResNet-50 at 224 px."""

    depth: int | None = 50  # 18, 34, 50, 101, 152; None: given by `layers` and `block`
    layers: tuple[int, ...] | None = None
    block: ResNetBlock | None = None
    width: int = 64  # channels of the first stage; each stage doubles them
    stem: ResNetStem = "imagenet"  # imagenet: 7×7 stride 2 and max-pool; cifar: 3×3 stride 1
    norm: ResNetNorm = "batchnorm"  # groupnorm: 32 groups, or the most that divide both 32 and the channels
    residual: bool = True  # False: a plain network, no shortcuts (He et al. 2015, table 2)
    padding: Padding = "zeros"  # circular: an image continues at its opposite side
    variant: ResNetVariant = "plain"  # d: three 3×3 for the 7×7, mean pooling before a shortcut's 1×1 (He et al. 2019)

    def _check(self) -> None:
        super()._check()
        self._at_least(1, "width")
        if (self.layers is None) != (self.block is None):
            raise ConfigError("layers and block go together: layers=(2, 2, 2), block='basic'")
        if self.layers is None and self.depth not in RESNET_LAYERS:
            raise ConfigError(
                f"there is no ResNet of depth={self.depth}: {choices(RESNET_LAYERS)} exist, "
                "or give layers=(2, 2, 2), block='basic' with depth=None"
            )
        if self.layers is not None and self.depth is not None:
            raise ConfigError(
                f"depth={self.depth} and layers={self.layers} both set the depth: give depth=None with layers"
            )
        if self.layers is not None and (not self.layers or min(self.layers) < 1):
            raise ConfigError(f"layers={self.layers} is not possible: each stage takes 1 or more blocks")
        if self.variant == "d" and self.stem == "imagenet" and self.width < 2:
            raise ImpossibleConfigError("variant=d halves the width in its stem: width=1 takes variant=plain")
        if self.padding == "circular" and self.stem == "imagenet" and min(as_pair(self.img_size)) < 3:
            raise ImpossibleConfigError(
                f"padding=circular wraps 3 pixels around in the 7×7 stem, more than img_size={self.img_size} has: "
                "take stem=cifar"
            )

    @property
    def stages(self) -> tuple[ResNetBlock, tuple[int, ...]]:
        """The kind of block, and the number of blocks in each stage."""
        if self.layers is not None and self.block is not None:
            return self.block, self.layers
        return RESNET_LAYERS[self.depth or 0]


def _label(config: ResNetConfig) -> str:
    size = f"{config.depth}" if config.depth else "_" + "-".join(map(str, config.stages[1]))
    return f"resnet{size}" + ("" if config.width == 64 else f"_w{config.width}")


def _with_stem_for_images(config: ResNetConfig) -> ResNetConfig:
    small = min(as_pair(config.img_size)) < CIFAR_STEM_BELOW_PX
    return config.replaced({"stem": "cifar"}) if small else config


FAMILY = Family(
    name="ResNet",
    config=ResNetConfig,
    label=_label,
    build="vitbench.models.resnet:ResNet",
    builds_on_meta=True,
    takes_any_img_size=True,
    products="vitbench.models.resnet.closed_form:products",
    sizes="vitbench.models.resnet.size_candidates:SIZES",
    adapt=_with_stem_for_images,
)
