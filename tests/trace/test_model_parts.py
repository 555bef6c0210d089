"""The part and block of a module, by class and place: our models, and the names in other libraries."""

import functools

import pytest
from torch import nn

import vitbench
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.vit import ViTConfig
from vitbench.trace.attribution import PARTS
from vitbench.trace.model_parts import blocks_of, owners_of, part_of

TINY = ViTConfig(img_size=8, patch_size=2, in_chans=1, num_classes=10, embed_dim=32, depth=3, num_heads=2)


def parts_of(model):
    return {path: owner.part for path, owner in owners_of(model).items() if owner.part}


@functools.cache
def class_called(name):
    return type(name, (nn.Module,), {})


def called(name, **children):
    """A module of a class of that name."""
    module = class_called(name)()
    for child, value in children.items():
        module.add_module(child, value)
    return module


@pytest.mark.parametrize(
    ("name", "part"),
    [
        *((name, "attention") for name in ("Attention", "WindowAttention", "ShiftedWindowAttentionV2", "ClassAttn")),
        *((name, "attention") for name in ("AttentionPoolLatent", "AttentionRope", "MultiQueryAttention2d")),
        *((name, "mlp") for name in ("Mlp", "MLPBlock", "FeedForward", "SwiGLUPacked", "GluMlp", "ConvMlp")),
        *((name, "norm") for name in ("LayerNorm2d", "RmsNorm", "BatchNormAct2d", "GroupNormAct", "FrozenBatchNorm2d")),
        *((name, "patch_embed") for name in ("PatchEmbed", "ViTPatchEmbeddings", "Patchify")),
        *((name, None) for name in ("Block", "AttentionBlock", "TransformerEncoderLayer", "PatchMerging", "Linear")),
        *((name, None) for name in ("Normalize", "MlpMixer", "PatchDropout")),
    ],
)
def test_a_class_name_says_what_it_is(name, part):
    assert part_of("layers.0.thing", called(name)) == part


def test_a_layer_behind_a_norm_is_no_norm():
    assert part_of("x", called("PreNorm", fn=nn.Linear(2, 2))) is None
    assert part_of("x", called("LayerNormAct", act=nn.ReLU())) == "norm"


def test_names_count_for_patches_and_head_alone_and_a_head_only_at_the_top():
    assert part_of("conv_proj", nn.Conv2d(1, 1, 1)) == "patch_embed"
    assert part_of("layers.0.conv", nn.Conv2d(1, 1, 1)) == "convolution"
    assert part_of("head", nn.Linear(2, 2)) == "head"
    assert part_of("blocks.0.head", nn.Linear(2, 2)) is None
    assert part_of("attn", nn.Linear(2, 2)) is None


def test_our_vit():
    parts = parts_of(vitbench.build(TINY))
    of_a_block = {"norm1": "norm", "attn": "attention", "norm2": "norm", "mlp": "mlp"}
    truth = {f"blocks.{i}.{name}": part for i in range(3) for name, part in of_a_block.items()}
    assert parts == truth | {"patch_embed": "patch_embed", "norm": "norm", "head": "head"}
    assert set(parts.values()) <= set(PARTS)


def test_each_part_of_a_block_is_in_the_block():
    owners = owners_of(vitbench.build(TINY))
    assert {path: owner.block for path, owner in owners.items()} == {
        path: ".".join(path.split(".")[:2]) if path.startswith("blocks.") else None for path in owners
    }
    assert owners["blocks.1"] == (None, "blocks.1")


def test_inside_a_part_only_norms_and_an_mlp_by_name_are_told_apart():
    config = ViTConfig(**{**TINY.__dict__, "pool": "map", "qk_norm": True, "stem": "conv", "patch_size": 4})
    parts = parts_of(vitbench.build(config))
    assert parts["blocks.0.attn.q_norm"] == "norm"
    assert parts["attn_pool"] == "attention"
    assert parts["attn_pool.mlp"] == "mlp"
    stem = {part for path, part in parts.items() if path.startswith("patch_embed.")}
    assert stem == {"norm"}  # its convolutions are patch embedding


@pytest.mark.parametrize("depth", [1, 3])
def test_blocks_are_the_depth(depth):
    config = ViTConfig(**{**TINY.__dict__, "depth": depth})
    assert list(blocks_of(vitbench.build(config)).values()) == [f"blocks.{i}" for i in range(depth)]


def test_a_hybrids_stem_has_no_blocks_of_its_own():
    config = ViTConfig(**{**TINY.__dict__, "stem": "hybrid", "hybrid_layers": (2, 2), "img_size": 32, "patch_size": 16})
    assert len(blocks_of(vitbench.build(config))) == 3


def test_a_resnets_blocks_are_its_stages():
    config = ResNetConfig(depth=None, layers=(1, 2), block="basic", width=8, img_size=16, in_chans=1, num_classes=3)
    assert blocks_of(vitbench.build(config)) == {"layer1": "layer1", "layer2": "layer2"}


def test_other_peoples_lists():
    def block():
        return called("Block", attn=called("Attention", to_qkv=nn.Linear(2, 2)))

    several = called("Net", layer1=nn.Sequential(block(), block()), layer2=nn.Sequential(block(), block()))
    assert set(blocks_of(several).values()) == {"layer1", "layer2"}
    one = called("Net", encoder=called("Encoder", layers=nn.Sequential(block(), block(), block())))
    assert list(blocks_of(one)) == ["encoder.layers.0", "encoder.layers.1", "encoder.layers.2"]
    named = called("Net", blocks=nn.ModuleList([block()]), blocks_token_only=nn.ModuleList([block()]))
    assert list(blocks_of(named).values()) == ["blocks.0", "blocks_token_only.0"]
    assert blocks_of(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))) == {}
    assert blocks_of(nn.Sequential()) == {}
