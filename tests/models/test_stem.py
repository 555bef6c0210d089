"""Stems against plain arithmetic and the sizes that their papers state."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  # the name everybody gives it
from hypothesis import given
from hypothesis import strategies as st

from vitbench.declare.vit import ViTConfig
from vitbench.models.patch_embed import PatchEmbed
from vitbench.models.stem import ConvStem, StdConv2d, build_stem, conv_channels, pad_same

HYBRID = ViTConfig(stem="hybrid", hybrid_layers=(1, 2), hybrid_width=32, img_size=32, patch_size=16)


@pytest.mark.parametrize(("dim", "channels"), [(192, [24, 48, 96, 192]), (384, [48, 96, 192, 384])])
def test_channels_are_those_of_early_convolutions(dim, channels):
    """ViT_C of 1 and 4 GF (Xiao et al. 2021, table 1)."""
    assert conv_channels(ViTConfig(stem="conv", embed_dim=dim, num_heads=3)) == channels


@pytest.mark.parametrize("patch_size", [2, 4, 8])
def test_a_token_of_a_convolutional_stem_stands_for_a_patch(patch_size):
    config = ViTConfig(stem="conv", embed_dim=8, num_heads=1, img_size=(16, 32), patch_size=patch_size)
    embed = PatchEmbed(config)
    assert isinstance(embed.backbone, ConvStem)
    assert embed.proj.kernel_size == (1, 1)
    assert embed(torch.randn(2, 3, 16, 32)).shape == (2, config.num_patches, 8)


@pytest.mark.parametrize("layers", [(), (1,), (1, 1), (1, 1, 1)])
@pytest.mark.parametrize("cut", [1, 2])
def test_a_token_of_a_hybrid_stands_for_a_patch(layers, cut):
    stride = 4 * 2 ** max(len(layers) - 1, 0)
    config = ViTConfig(
        stem="hybrid",
        hybrid_layers=layers,
        hybrid_width=32,
        img_size=(64, 32),
        patch_size=cut * stride,
        embed_dim=8,
        num_heads=1,
    )
    embed = PatchEmbed(config)
    assert config.feature_stride == stride
    assert embed.proj.kernel_size == (cut, cut)
    assert embed(torch.randn(2, 3, 64, 32)).shape == (2, config.num_patches, 8)


def test_names_of_a_hybrid_are_timms():
    block = {f"conv{i}.weight" for i in (1, 2, 3)} | {
        f"norm{i}.{part}" for i in (1, 2, 3) for part in ("weight", "bias")
    }
    projection = {"downsample.conv.weight", "downsample.norm.weight", "downsample.norm.bias"}
    stem = {"conv.weight", "norm.weight", "norm.bias"}
    expected = {f"stem.{name}" for name in stem}
    for place, names in (("0.blocks.0", block | projection), ("1.blocks.0", block | projection), ("1.blocks.1", block)):
        expected |= {f"stages.{place}.{name}" for name in names}
    assert set(build_stem(HYBRID).state_dict()) == expected
    alone = ViTConfig(stem="hybrid", hybrid_layers=(), patch_size=32)
    assert set(build_stem(alone).state_dict()) == stem


def test_a_standardised_convolution_ignores_scale_and_shift_of_its_filters():
    torch.manual_seed(0)
    conv = StdConv2d(4, 5, 3, stride=2).double()
    x = torch.randn(2, 4, 8, 8, dtype=torch.float64)
    out = conv(x)
    filters = conv.weight.detach()
    mean, variance = (filters.flatten(1).mean(1), filters.flatten(1).var(1, unbiased=False))
    plain = (filters - mean[:, None, None, None]) / (variance + 1e-8).sqrt()[:, None, None, None]
    torch.testing.assert_close(out, F.conv2d(F.pad(x, (0, 1, 0, 1)), plain, stride=2))
    conv.weight.data = 3 * filters + 7
    torch.testing.assert_close(conv(x), out, rtol=1e-4, atol=1e-6)


@given(st.integers(1, 20), st.integers(1, 20), st.sampled_from([(1, 1), (3, 1), (3, 2), (7, 2), (1, 2)]))
def test_same_padding_leaves_the_sides_divided_by_the_stride(height, width, window):
    kernel, stride = window
    x = pad_same(torch.ones(1, 1, height, width), (kernel, kernel), (stride, stride))
    out = F.max_pool2d(x, kernel, stride)
    assert out.shape[-2:] == (math.ceil(height / stride), math.ceil(width / stride))
    assert out.any()


def test_an_image_sees_no_other_in_a_hybrid():
    torch.manual_seed(0)
    stem = build_stem(HYBRID)
    x = torch.randn(3, 3, 32, 32)
    torch.testing.assert_close(stem(x)[:1], stem(x[:1]), rtol=1e-4, atol=1e-5)
