"""Configs: what exists can be built, what cannot is refused with the reason and the choices."""

import dataclasses
import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitbench.declare.checked import with_values
from vitbench.declare.external import ExternalConfig
from vitbench.declare.families import adapt_to_data
from vitbench.declare.measure import MeasureConfig
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.serialize import as_dict, from_dict
from vitbench.declare.train import TrainConfig
from vitbench.declare.vit import PosEmbed, ViTConfig
from vitbench.utils.errors import ConfigError, ImpossibleConfigError


@st.composite
def vit_configs(draw):
    patch = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    grid = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    heads = draw(st.integers(1, 6))
    return ViTConfig(
        img_size=(patch[0] * grid[0], patch[1] * grid[1]),
        patch_size=patch,
        embed_dim=heads * draw(st.integers(1, 4)) * 4,
        num_heads=heads,
        depth=draw(st.integers(1, 4)),
        num_classes=draw(st.integers(0, 12)),
        in_chans=draw(st.integers(1, 4)),
        pool=draw(st.sampled_from(["cls", "mean"])),
        pos_embed=draw(st.sampled_from(get_args(PosEmbed))),
        drop_path_rate=draw(st.floats(0, 0.9)),
    )


def test_defaults_are_the_published_models():
    vit = ViTConfig()
    assert (vit.img_size, vit.patch_size, vit.embed_dim, vit.depth, vit.num_heads) == (224, 16, 768, 12, 12)
    assert (vit.num_patches, vit.num_prefix_tokens, vit.head_dim, vit.mlp_dim) == (196, 1, 64, 3072)
    assert ResNetConfig().stages == ("bottleneck", (3, 4, 6, 3))


@given(config=vit_configs())
def test_a_config_survives_json(config):
    assert from_dict(json.loads(json.dumps(as_dict(config)))) == config


@pytest.mark.parametrize(
    "config",
    [
        ViTConfig(stem="hybrid", hybrid_layers=(2, 2), pool="map", layer_scale=0.1, representation_size=3),
        ResNetConfig(depth=None, layers=(1, 2), block="basic", stem="cifar", img_size=(8, 16)),
        ResNetConfig(norm="groupnorm", residual=False, padding="circular", variant="d"),
        ExternalConfig("package.module:function", {"width": 3}),
        TrainConfig(lr=0.1),
        MeasureConfig(dtype="bfloat16"),
    ],
)
def test_every_config_survives_json(config):
    assert from_dict(json.loads(json.dumps(as_dict(config)))) == config


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"pos_embed": "lerned"}, ["pos_embed", "'lerned'", "sincos2d", "did you mean 'learned'"]),
        ({"depth": "6"}, ["depth='6'", "a whole number"]),
        ({"depth": 6.5}, ["depth=6.5", "a whole number"]),
        ({"depth": True}, ["depth=True", "a whole number"]),
        ({"depth": 0}, ["depth=0", "1 or more"]),
        ({"mlp_ratio": 0.0}, ["mlp_ratio=0.0", "more than 0"]),
        ({"qkv_bias": 1}, ["qkv_bias=1", "True or False"]),
        ({"drop_path_rate": 1.0}, ["drop_path_rate=1.0"]),
        ({"img_size": (224, 224, 3)}, ["img_size=(224, 224, 3)"]),
        ({"patch_size": 0}, ["patch_size=0", "1 or more"]),
        ({"num_registers": -1}, ["num_registers=-1", "0 or more"]),
        ({"representation_size": 0}, ["representation_size=0", "1 or more"]),
        ({"qk_scale": 0.0}, ["qk_scale=0.0", "more than 0"]),
        ({"layer_scale": -0.1}, ["layer_scale=-0.1", "0 or more"]),
        ({"norm": "layer_norm"}, ["norm 'layer_norm'", "did you mean 'layernorm'"]),
        ({"stem": "hybrid", "hybrid_layers": (2, 0)}, ["hybrid_layers=(2, 0)", "1 or more"]),
    ],
)
def test_a_value_that_does_not_exist_is_named_with_what_does(values, words):
    with pytest.raises(ConfigError) as caught:
        ViTConfig(**values)
    assert not isinstance(caught.value, ImpossibleConfigError)
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"img_size": 8, "patch_size": 3}, ["patch_size=3", "img_size=8", "1, 2, 4, 8"]),
        ({"img_size": (8, 6), "patch_size": (4, 4)}, ["6 takes 1, 2, 3, 6"]),
        ({"embed_dim": 12, "num_heads": 3, "mlp_ratio": 0.01}, ["mlp_ratio=0.01", "0.0833"]),
        ({"embed_dim": 12, "num_heads": 5}, ["num_heads=5", "embed_dim=12", "1, 2, 3, 4, 6, 12"]),
        ({"embed_dim": 6, "num_heads": 2, "pos_embed": "sincos2d"}, ["divisible by 4", "try 8"]),
        ({"embed_dim": 24, "num_heads": 4, "pos_embed": "rope"}, ["divisible by 4", "num_heads=1, 2, 3, 6"]),
        ({"embed_dim": 6, "num_heads": 3, "pos_embed": "rope"}, ["divisible by 4", "take an embed_dim"]),
        ({"embed_dim": 7, "num_heads": 1, "pos_embed": "sincos1d"}, ["pos_embed=sincos1d", "divisible by 2", "try 8"]),
        ({"embed_dim": 7, "num_heads": 1, "pos_embed": "learned2d"}, ["pos_embed=learned2d", "divisible by 2"]),
        ({"distilled": True, "pool": "mean"}, ["distilled=True", "pool=mean", "take pool=cls"]),
        ({"distilled": True, "representation_size": 8}, ["representation_size=8", "distilled=True"]),
        ({"attn_mask": "causal"}, ["attn_mask=causal", "class token", "pool=mean or pool=map"]),
        ({"mlp": "swiglu", "act": "relu"}, ["act=relu", "mlp=swiglu", "SiLU"]),
        ({"residual": False, "drop_path_rate": 0.1}, ["drop_path_rate=0.1", "residual=True"]),
        ({"stem": "conv", "img_size": 12, "patch_size": 6}, ["stem=conv", "patch_size=6", "2, 4, 8, 16"]),
        ({"stem": "conv", "patch_size": 1}, ["stem=conv", "patch_size=1", "power of 2"]),
        ({"stem": "conv", "patch_size": (16, 8)}, ["stem=conv", "patch_size=(16, 8)"]),
        ({"stem": "conv", "embed_dim": 12, "num_heads": 3}, ["stem=conv", "divisible by 8", "try 16"]),
        ({"stem": "hybrid", "hybrid_width": 48}, ["hybrid_width=48", "32 groups", "try 64"]),
        ({"stem": "hybrid", "patch_size": 8}, ["hybrid_layers=(3, 4, 9)", "patch_size=8", "try patch_size=16"]),
    ],
)
def test_values_that_cannot_stand_together_are_impossible(values, words):
    with pytest.raises(ImpossibleConfigError) as caught:
        ViTConfig(**values)
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize(
    "values",
    [
        {"depth": 19},
        {"depth": None},
        {"depth": 18, "layers": (1,), "block": "basic"},
        {"depth": None, "layers": (1,)},
        {"depth": None, "layers": (1, 0), "block": "basic"},
        {"depth": None, "layers": (), "block": "basic"},
        {"width": 1, "variant": "d"},
        {"padding": "circular", "img_size": 2},
    ],
)
def test_a_resnet_that_cannot_be_is_refused(values):
    with pytest.raises(ConfigError):
        ResNetConfig(**values)


@pytest.mark.parametrize("source", ["nothing", "a.b:", ":f", "a-b:f", "a.b:f()"])
def test_an_external_source_is_a_function(source):
    with pytest.raises(ConfigError, match=r"package\.module:function"):
        ExternalConfig(source)


def test_an_unknown_field_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'embed_dim'"):
        with_values(ViTConfig(), {"embed_dims": 3})
    with pytest.raises(ConfigError, match="did you mean 'depth'"):
        from_dict({"type": "ViTConfig", "dept": 3})
    with pytest.raises(ConfigError, match="did you mean 'ViTConfig'"):
        from_dict({"type": "VitConfig"})


def test_configs_are_frozen_and_keyword_only():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ViTConfig().depth = 3
    with pytest.raises(TypeError):
        ViTConfig(224)


@pytest.mark.parametrize(("side", "stem"), [(8, "cifar"), (63, "cifar"), (64, "imagenet"), (224, "imagenet")])
def test_a_resnet_takes_the_stem_that_its_images_need(side, stem):
    fitted = adapt_to_data(ResNetConfig(depth=18), img_size=side, in_chans=1, num_classes=3)
    assert fitted == ResNetConfig(depth=18, stem=stem, img_size=side, in_chans=1, num_classes=3)


def test_a_vit_whose_patches_do_not_divide_new_data_is_refused():
    with pytest.raises(ImpossibleConfigError, match="patch_size=16"):
        adapt_to_data(ViTConfig(), img_size=28, in_chans=1, num_classes=10)
