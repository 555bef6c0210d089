"""The zoo has the published parameter counts (FACTS §1; with 1000 classes where timm's default has no classifier)."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from vitbench.catalog import names, zoo
from vitbench.errors import UserError
from vitbench.models import build

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
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
}


def test_every_entry_is_checked():
    assert sorted(names()) == sorted(PARAMS)


@pytest.mark.parametrize(("name", "params"), PARAMS.items())
def test_parameters_are_the_published_ones(name, params):
    with torch.device("meta"):
        assert sum(p.numel() for p in build(zoo(name)).parameters()) == params


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(
        UserError, match=r"unknown model 'vit_bas_patch16_224': .*did you mean 'vit_base_patch16_224'\?"
    ):
        zoo("vit_bas_patch16_224")


def test_names_need_no_torch():
    code = "import sys, vitbench.catalog; raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
