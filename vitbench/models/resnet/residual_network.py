"""Residual networks (He et al. 2015), v1.5: the 3×3 convolution has the stride. Names are torchvision's.

The ``d`` variant has timm's names, which differ in its deeper stem and in the pooling before its shortcuts.
"""

from __future__ import annotations

import math

import torch.nn.functional as F  # noqa: N812  # the usual name
from jaxtyping import Float
from torch import Tensor, nn

from vitbench.declare.resnet import ResNetConfig


def _conv3x3(config: ResNetConfig, inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False, padding_mode=config.padding)


def _conv1x1(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel_size=1, stride=stride, bias=False)


def _norm(config: ResNetConfig, channels: int) -> nn.Module:
    if config.norm == "batchnorm":
        return nn.BatchNorm2d(channels)
    groups = math.gcd(32, channels)
    lonely = groups == channels > 1  # a group of one channel and one pixel has nothing to normalise
    return nn.GroupNorm(groups // 2 if lonely else groups, channels)


class CircularMaxPool(nn.MaxPool2d):
    """Max-pooling over windows that continue at the opposite side of the image."""

    def forward(self, x: Float[Tensor, "batch chans h w"]) -> Float[Tensor, "batch chans h2 w2"]:
        return F.max_pool2d(F.pad(x, (1, 1, 1, 1), mode="circular"), kernel_size=3, stride=2)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with a residual connection, unless the config has no ``residual``."""

    expansion = 1

    def __init__(
        self, config: ResNetConfig, inputs: int, width: int, stride: int, downsample: nn.Module | None
    ) -> None:
        super().__init__()
        self.residual = config.residual
        self.conv1 = _conv3x3(config, inputs, width, stride)
        self.bn1 = _norm(config, width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = _conv3x3(config, width, width)
        self.bn2 = _norm(config, width)
        self.downsample = downsample

    def forward(self, x: Float[Tensor, "batch inputs h w"]) -> Float[Tensor, "batch outputs h2 w2"]:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.residual:
            out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class Bottleneck(nn.Module):
    """1×1 down, 3×3, 1×1 up to four times the width, with a residual connection as in ``BasicBlock``."""

    expansion = 4

    def __init__(
        self, config: ResNetConfig, inputs: int, width: int, stride: int, downsample: nn.Module | None
    ) -> None:
        super().__init__()
        self.residual = config.residual
        self.conv1 = _conv1x1(inputs, width)
        self.bn1 = _norm(config, width)
        self.conv2 = _conv3x3(config, width, width, stride)
        self.bn2 = _norm(config, width)
        self.conv3 = _conv1x1(width, width * self.expansion)
        self.bn3 = _norm(config, width * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Float[Tensor, "batch inputs h w"]) -> Float[Tensor, "batch outputs h2 w2"]:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        if self.residual:
            out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class ResNet(nn.Module):
    """Images (batch, in_chans, height, width) to logits (batch, num_classes), or pooled features of 0 classes.

    Stages are ``layer1`` … ``layerN``; each but the first halves the resolution and doubles the width. The weights
    start as torchvision's: Kaiming fan-out convolutions, norms at 1 and 0, the
    classifier at torch's default.
    """

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.config = config
        word, layers = config.stages
        block = BasicBlock if word == "basic" else Bottleneck

        self.conv1 = _first(config)
        self.bn1 = _norm(config, config.width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool: nn.Module = nn.Identity()
        if config.stem == "imagenet":
            pool = CircularMaxPool if config.padding == "circular" else nn.MaxPool2d
            self.maxpool = pool(kernel_size=3, stride=2, padding=1)
        self.stage_names = tuple(f"layer{number}" for number in range(1, len(layers) + 1))
        channels, width, stride = config.width, config.width, 1
        for name, count in zip(self.stage_names, layers, strict=True):
            self.add_module(name, _stage(config, block, channels, width, count=count, stride=stride))
            channels, width, stride = width * block.expansion, 2 * width, 2
        self.fc = nn.Linear(channels, config.num_classes) if config.num_classes else nn.Identity()
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Float[Tensor, "batch in_chans height width"]) -> Float[Tensor, "batch outputs"]:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for name in self.stage_names:
            x = getattr(self, name)(x)
        return self.fc(x.mean(dim=(2, 3)))

    def no_weight_decay(self) -> set[str]:
        """No names, as biases and norms are never decayed."""
        return set()


def _first(config: ResNetConfig) -> nn.Module:
    """The convolutions before the first norm and ReLU."""
    if config.stem == "cifar":
        return _conv3x3(config, config.in_chans, config.width)
    if config.variant == "plain":
        return nn.Conv2d(
            config.in_chans,
            config.width,
            kernel_size=7,
            stride=2,
            padding=3,
            bias=False,
            padding_mode=config.padding,
        )
    half = config.width // 2
    return nn.Sequential(
        _conv3x3(config, config.in_chans, half, stride=2),
        _norm(config, half),
        nn.ReLU(inplace=True),
        _conv3x3(config, half, half),
        _norm(config, half),
        nn.ReLU(inplace=True),
        _conv3x3(config, half, config.width),
    )


def _stage(
    config: ResNetConfig, block: type[BasicBlock | Bottleneck], inputs: int, width: int, *, count: int, stride: int
) -> nn.Sequential:
    outputs = width * block.expansion
    downsample = None
    if config.residual and (stride != 1 or inputs != outputs):
        downsample = _shortcut(config, inputs, outputs, stride)
    first = block(config, inputs, width, stride, downsample)
    return nn.Sequential(first, *(block(config, outputs, width, 1, None) for _ in range(count - 1)))


def _shortcut(config: ResNetConfig, inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """A 1×1 with the block's stride; the ``d`` variant strides by 2×2 means instead, so that no pixel is skipped."""
    if config.variant == "plain":
        return nn.Sequential(_conv1x1(inputs, outputs, stride), _norm(config, outputs))
    pool = nn.Identity() if stride == 1 else nn.AvgPool2d(2, stride, ceil_mode=True, count_include_pad=False)
    return nn.Sequential(pool, _conv1x1(inputs, outputs), _norm(config, outputs))
