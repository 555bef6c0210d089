"""Stems before the patch embedding: a few convolutions, or the residual network of the ViT paper's hybrids."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F  # noqa: N812  # the usual name
from jaxtyping import Float
from torch import Tensor, nn

from vitbench.declare.sizes import as_pair
from vitbench.declare.vit import ViTConfig


def conv_channels(config: ViTConfig) -> list[int]:
    """Channels after each 3×3 of the convolutional stem: they double up to ``embed_dim``."""
    halvings = as_pair(config.patch_size)[0].bit_length() - 1
    return [config.embed_dim >> left for left in reversed(range(halvings))]


class ConvStem(nn.Sequential):
    """3×3 convolutions of stride 2, each with batch norm and ReLU (ViT_C, Xiao et al. 2021).

    A 1×1 follows as the patch embedding. The paper removes one block in return: lower ``depth`` by one to do the same.
    """

    def __init__(self, config: ViTConfig) -> None:
        layers: list[nn.Module] = []
        inputs = config.in_chans
        for outputs in conv_channels(config):
            convolution = nn.Conv2d(inputs, outputs, kernel_size=3, stride=2, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
            inputs = outputs
        super().__init__(*layers)
        self.num_features = inputs


def pad_same(
    x: Float[Tensor, "batch chans h w"], kernel: Sequence[int], stride: Sequence[int], value: float = 0.0
) -> Float[Tensor, "batch chans h2 w2"]:
    """Padding as TensorFlow's ``SAME``: outputs are ⌈side / stride⌉; an odd total is larger at the end."""
    padding: list[int] = []
    for side, k, s in reversed(list(zip(x.shape[-2:], kernel, stride, strict=True))):
        total = max((-(-side // s) - 1) * s + k - side, 0)
        padding += [total // 2, total - total // 2]
    return F.pad(x, padding, value=value) if any(padding) else x


class StdConv2d(nn.Conv2d):
    """A convolution whose filters have mean 0 and deviation 1 (Qiao et al. 2019), without bias, padded as ``SAME``.

    The deviation is √(variance + 1e-8), as in timm; the JAX code adds 1e-5 to it instead.
    """

    def __init__(self, inputs: int, outputs: int, kernel_size: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, kernel_size, stride=stride, bias=False)

    def forward(self, x: Float[Tensor, "batch inputs h w"]) -> Float[Tensor, "batch outputs h2 w2"]:
        x = pad_same(x, self.kernel_size, self.stride)
        rows = self.weight.reshape(1, self.out_channels, -1)
        weight = F.batch_norm(rows, None, None, training=True, momentum=0.0, eps=1e-8)
        return F.conv2d(x, weight.reshape_as(self.weight), stride=self.stride)


class HybridStem(nn.Module):
    """7×7 of stride 2, group norm, ReLU and a 3×3 maximum of stride 2: features of stride 4."""

    def __init__(self, in_chans: int, width: int) -> None:
        super().__init__()
        self.conv = StdConv2d(in_chans, width, 7, stride=2)
        self.norm = nn.GroupNorm(32, width)
        self.relu = nn.ReLU(inplace=True)
        self.num_features = width

    def forward(self, x: Float[Tensor, "batch in_chans h w"]) -> Float[Tensor, "batch width h4 w4"]:
        x = self.relu(self.norm(self.conv(x)))
        return F.max_pool2d(pad_same(x, (3, 3), (2, 2), value=float("-inf")), kernel_size=3, stride=2)


class Projection(nn.Module):
    """A shortcut where width or resolution changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv = StdConv2d(inputs, outputs, 1, stride=stride)
        self.norm = nn.GroupNorm(32, outputs)

    def forward(self, x: Float[Tensor, "batch inputs h w"]) -> Float[Tensor, "batch outputs h2 w2"]:
        return self.norm(self.conv(x))


class HybridBlock(nn.Module):
    """A bottleneck of standardised convolutions and group norms; the 3×3 has the stride."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, project: bool) -> None:
        super().__init__()
        inner = outputs // 4
        self.downsample = Projection(inputs, outputs, stride) if project else None
        self.conv1 = StdConv2d(inputs, inner, 1)
        self.norm1 = nn.GroupNorm(32, inner)
        self.conv2 = StdConv2d(inner, inner, 3, stride=stride)
        self.norm2 = nn.GroupNorm(32, inner)
        self.conv3 = StdConv2d(inner, outputs, 1)
        self.norm3 = nn.GroupNorm(32, outputs)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Float[Tensor, "batch inputs h w"]) -> Float[Tensor, "batch outputs h2 w2"]:
        out = self.relu(self.norm1(self.conv1(x)))
        out = self.relu(self.norm2(self.conv2(out)))
        out = self.norm3(self.conv3(out))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class HybridStage(nn.Module):
    def __init__(self, inputs: int, outputs: int, count: int, stride: int) -> None:
        super().__init__()
        first = HybridBlock(inputs, outputs, stride, project=True)
        rest = (HybridBlock(outputs, outputs, 1, project=False) for _ in range(count - 1))
        self.blocks = nn.Sequential(first, *rest)

    def forward(self, x: Float[Tensor, "batch inputs h w"]) -> Float[Tensor, "batch outputs h2 w2"]:
        return self.blocks(x)


class HybridBackbone(nn.Module):
    """The residual network of the ViT paper's hybrids, under timm's names (``resnetv2`` with ``preact=False``)."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.stem = HybridStem(config.in_chans, config.hybrid_width)
        stages: list[nn.Module] = []
        inputs = config.hybrid_width
        for stage, count in enumerate(config.hybrid_layers):
            outputs = 4 * config.hybrid_width * 2**stage
            stages.append(HybridStage(inputs, outputs, count, stride=2 if stage else 1))
            inputs = outputs
        self.stages = nn.Sequential(*stages)
        self.num_features = inputs

    def forward(self, x: Float[Tensor, "batch in_chans h w"]) -> Float[Tensor, "batch features h2 w2"]:
        return self.stages(self.stem(x))


def build_stem(config: ViTConfig) -> ConvStem | HybridStem | HybridBackbone | None:
    """The stem, whose ``num_features`` is the number of its output channels; None: patches of the image itself.

    All convolutions start Kaiming normal (fan-out), whatever the transformer's ``init``.
    """
    if config.stem == "patchify":
        return None
    stem: ConvStem | HybridStem | HybridBackbone
    if config.stem == "conv":
        stem = ConvStem(config)
    elif config.hybrid_layers:
        stem = HybridBackbone(config)
    else:  # timm names a stem without stages without the prefix `stem.`
        stem = HybridStem(config.in_chans, config.hybrid_width)
    for module in stem.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return stem
