"""Any model's config, and how it is adapted to a data set."""

from __future__ import annotations

import dataclasses
from typing import TypeAlias

from vitbench.declare.external import ExternalConfig
from vitbench.declare.resnet import CIFAR_STEM_BELOW_PX, ResNetConfig
from vitbench.declare.sizes import Size, as_pair
from vitbench.declare.vit import ViTConfig

ModelConfig: TypeAlias = ViTConfig | ResNetConfig | ExternalConfig


def adapt_to_data(config: ModelConfig, *, img_size: Size, in_chans: int, num_classes: int) -> ModelConfig:
    """The config for other data: image size, channels and classes, and a ResNet's stem by the image's size."""
    fitted = dataclasses.replace(config, img_size=img_size, in_chans=in_chans, num_classes=num_classes)
    if isinstance(fitted, ResNetConfig) and min(as_pair(img_size)) < CIFAR_STEM_BELOW_PX:
        return dataclasses.replace(fitted, stem="cifar")
    return fitted
