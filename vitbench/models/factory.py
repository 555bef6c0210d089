"""The one door of this room: config → module."""

from __future__ import annotations

from torch import nn

from vitbench.declare.external import ExternalConfig
from vitbench.declare.model import ModelConfig
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.vit import ViTConfig
from vitbench.models.external import build_external
from vitbench.models.resnet import ResNet
from vitbench.models.vit import VisionTransformer
from vitbench.utils.errors import UserError


def build(config: ModelConfig) -> nn.Module:
    """The model of a config, in training mode, with initial weights drawn from torch's global generator.

    It maps images (batch, in_chans, height, width) to logits (batch, num_classes). Under ``torch.device("meta")`` it
    has shapes and no storage.

    Raises:
        UserError: this is no config of a model, or an external one that cannot be built.
    """
    match config:
        case ViTConfig():
            return VisionTransformer(config)
        case ResNetConfig():
            return ResNet(config)
        case ExternalConfig():
            return build_external(config)
    raise UserError(
        f"{config!r} is no config of a model: ViTConfig, ResNetConfig, ExternalConfig exist; "
        "for a published name type build(zoo(name))"
    )
