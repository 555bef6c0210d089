"""Residual networks (He et al. 2015), v1.5: the stride sits in the 3×3 convolution, under torchvision's names."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from vitbench.config import ResNetConfig


def _conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False)


def _conv1x1(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel_size=1, stride=stride, bias=False)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions around which the input is carried."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = _conv3x3(inputs, width, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = _conv3x3(width, width)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = downsample

    def forward(self, x: Float[Tensor, "batch inputs h w"]) -> Float[Tensor, "batch outputs h2 w2"]:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class Bottleneck(nn.Module):
    """1×1 down, 3×3, 1×1 up to four times the width, around which the input is carried."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = _conv1x1(inputs, width)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = _conv1x1(width, width * self.expansion)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Float[Tensor, "batch inputs h w"]) -> Float[Tensor, "batch outputs h2 w2"]:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class ResNet(nn.Module):
    """Images (batch, in_chans, height, width) to logits (batch, num_classes), or pooled features of 0 classes.

    Stages are ``layer1`` … ``layerN`` for as many as the config has; each but the first halves the resolution, each
    doubles the width. The weights start as torchvision's: Kaiming fan-out convolutions, norms at 1 and 0, the
    classifier at torch's default.
    """

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.config = config
        word, layers = config.stages
        block = BasicBlock if word == "basic" else Bottleneck
        imagenet = config.stem == "imagenet"

        self.conv1 = (
            nn.Conv2d(config.in_chans, config.width, kernel_size=7, stride=2, padding=3, bias=False)
            if imagenet
            else _conv3x3(config.in_chans, config.width)
        )
        self.bn1 = nn.BatchNorm2d(config.width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1) if imagenet else nn.Identity()
        self.stage_names = tuple(f"layer{number}" for number in range(1, len(layers) + 1))
        channels, width, stride = config.width, config.width, 1
        for name, count in zip(self.stage_names, layers, strict=True):
            self.add_module(name, _stage(block, channels, width, count, stride))
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
        """Nothing beyond biases and norms, which no recipe decays."""
        return set()


def _stage(block: type[BasicBlock | Bottleneck], inputs: int, width: int, count: int, stride: int) -> nn.Sequential:
    outputs = width * block.expansion
    downsample = None
    if stride != 1 or inputs != outputs:
        downsample = nn.Sequential(_conv1x1(inputs, outputs, stride), nn.BatchNorm2d(outputs))
    first = block(inputs, width, stride, downsample)
    return nn.Sequential(first, *(block(outputs, width, 1, None) for _ in range(count - 1)))
