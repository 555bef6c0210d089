"""The zoo has the published parameter counts (FACTS §1; with 1000 classes where timm's default has no classifier)."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest
import torch

from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.vit import ViTConfig
from vitbench.declare.zoo import names, zoo
from vitbench.measure.counts.closed_form import closed_form
from vitbench.models import build
from vitbench.utils.errors import ConfigError, ImpossibleConfigError, UserError

PARAMS = {
    "vit_tiny_patch16_224": 5_717_416,
    "vit_tiny_patch16_384": 5_790_376,
    "vit_small_patch32_224": 22_878_952,
    "vit_small_patch32_384": 22_915_432,
    "vit_small_patch16_224": 22_050_664,
    "vit_small_patch16_384": 22_196_584,
    "vit_small_patch8_224": 22_055_272,
    "vit_base_patch32_224": 88_224_232,
    "vit_base_patch32_384": 88_297_192,
    "vit_base_patch16_224": 86_567_656,
    "vit_base_patch16_384": 86_859_496,
    "vit_base_patch8_224": 86_576_872,
    "vit_large_patch32_224": 306_535_400,
    "vit_large_patch32_384": 306_632_680,
    "vit_large_patch16_224": 304_326_632,
    "vit_large_patch16_384": 304_715_752,
    "vit_huge_patch14_224": 632_045_800,
    "vit_base_patch16_224_in21k": 103_186_515,
    "vit_base_patch16_224_in21k_no_pre_logits": 102_595_923,
    "vit_base_patch32_224_in21k": 104_843_091,
    "vit_base_patch32_224_in21k_no_pre_logits": 104_252_499,
    "vit_large_patch16_224_in21k": 326_740_307,
    "vit_large_patch16_224_in21k_no_pre_logits": 325_690_707,
    "vit_large_patch32_224_in21k": 328_949_075,
    "vit_large_patch32_224_in21k_no_pre_logits": 327_899_475,
    "vit_huge_patch14_224_in21k": 660_385_363,
    "vit_huge_patch14_224_in21k_no_pre_logits": 658_745_683,
    "deit_tiny_patch16_224": 5_717_416,
    "deit_small_patch16_224": 22_050_664,
    "deit_base_patch16_224": 86_567_656,
    "deit_base_patch16_384": 86_859_496,
    "deit_tiny_distilled_patch16_224": 5_910_800,
    "deit_small_distilled_patch16_224": 22_436_432,
    "deit_base_distilled_patch16_224": 87_338_192,
    "deit_base_distilled_patch16_384": 87_630_032,
    "simple_vit_small_patch16_224": 22_050_664 - 384 - 197 * 384,  # ViT-S/16 without class token and learned positions
    # layers of 4 D² + 4 D in attention, 2 D·4D + 5 D in the MLP, 4 D in norms; patches, class token, head
    "encoder2017_base_patch16_224": 6 * (12 * 512**2 + 13 * 512) + 769 * 512 + 512 + 513 * 1000,
    "vit_tiny_r_s16_p8_224": 6_337_704,
    "vit_tiny_r_s16_p8_384": 6_355_944,
    "vit_small_r26_s32_224": 36_431_912,
    "vit_small_r26_s32_384": 36_468_392,
    "vit_base_r26_s32_224": 101_383_976,
    "vit_base_r50_s16_224": 98_659_112,
    "vit_base_r50_s16_384": 98_950_952,
    "vit_large_r50_s32_224": 328_994_856,
    "vit_large_r50_s32_384": 329_092_136,
    # patches, class token, positions; 4 blocks of attention, MLP and norms; norm, head
    "vit_digits": 320 + 64 + 17 * 64 + 4 * (16_640 + 33_088 + 256) + 128 + 650,
    # stem; a block of 16 channels, of 32 and of 64, the last two with a projection; head
    "resnet_digits": 176 + 4_672 + 14_528 + 57_728 + 650,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "resnet18d": 11_708_744,
    "resnet34d": 21_816_904,
    "resnet50d": 25_576_264,
    "resnet101d": 44_568_392,
    "resnet152d": 60_212_040,
}

# millions of activations as timm publishes them, attention's scores counted (facts/models.csv, column mact)
ACTIVATIONS = {
    "deit_tiny_distilled_patch16_224": 6.01,
    "deit_small_distilled_patch16_224": 12.02,
    "deit_base_distilled_patch16_224": 24.05,
    "deit_base_distilled_patch16_384": 101.82,
    "vit_tiny_r_s16_p8_224": 2.06,
    "vit_tiny_r_s16_p8_384": 6.49,
    "vit_small_r26_s32_224": 9.85,
    "vit_small_r26_s32_384": 29.85,
    "vit_base_r26_s32_224": 12.36,
    "vit_base_r50_s16_384": 135.03,
    "vit_large_r50_s32_224": 24.41,
    "vit_large_r50_s32_384": 76.52,
    "resnet18d": 3.29,
    "resnet34d": 4.54,
    "resnet50d": 11.92,
    "resnet101d": 17.04,
    "resnet152d": 23.36,
}


def test_every_entry_is_checked():
    assert sorted(names()) == sorted(PARAMS)


@pytest.mark.parametrize(("name", "params"), PARAMS.items())
def test_parameters_are_the_published_ones(name, params):
    with torch.device("meta"):
        assert sum(p.numel() for p in build(zoo(name)).parameters()) == params


@pytest.mark.parametrize(("name", "millions"), ACTIVATIONS.items())
def test_activations_are_the_published_ones(name, millions):
    """Whatever had a wrong stride, width or number of tokens would show here."""
    config = zoo(name)
    assert isinstance(config, (ViTConfig, ResNetConfig))
    assert closed_form(config).activations / 1e6 == pytest.approx(millions, abs=5.01e-3)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(
        UserError, match=r"unknown model 'vit_bas_patch16_224': .*did you mean 'vit_base_patch16_224'\?"
    ):
        zoo("vit_bas_patch16_224")


def test_names_need_no_torch():
    code = "import sys, vitbench.declare.zoo; raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_overrides_replace_fields_and_are_checked_like_any_other():
    assert zoo("vit_digits", depth=6, pos_embed="rope") == dataclasses.replace(
        zoo("vit_digits"), depth=6, pos_embed="rope"
    )
    with pytest.raises(ConfigError, match="did you mean 'depth'"):
        zoo("vit_digits", dept=6)
    with pytest.raises(ImpossibleConfigError, match="does not divide img_size=8"):
        zoo("vit_digits", patch_size=3)
