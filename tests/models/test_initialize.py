"""Each initialisation has the spreads that its source states."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch

from vitbench.declare.vit import Init, ViTConfig
from vitbench.models.initialize import INITS
from vitbench.models.vit import VisionTransformer

DIM, PATCH = 256, 8
FAN_IN = 3 * PATCH**2


def draw(init, **changes):
    torch.manual_seed(0)
    config = ViTConfig(
        **{"img_size": 32, "patch_size": PATCH, "embed_dim": DIM, "depth": 1, "num_heads": 4, "init": init, **changes}
    )
    return VisionTransformer(config)


def std(tensor):
    return tensor.std().item()


def assert_uniform(tensor, bound):
    assert std(tensor) == pytest.approx(bound / math.sqrt(3), rel=0.02)
    assert 0.99 * bound < tensor.abs().max() <= bound


def test_every_word_of_the_config_has_its_row():
    assert set(INITS) == set(get_args(Init))


@pytest.mark.parametrize(("init", "spread"), [("timm", 0.02), ("classic", 0.01)])
def test_linear_maps_are_truncated_normal(init, spread):
    model = draw(init)
    block = model.blocks[0]
    for layer in (block.attn.qkv, block.attn.proj, block.mlp.fc1, block.mlp.fc2, model.head):
        assert std(layer.weight) == pytest.approx(spread, rel=0.02)
        assert not layer.bias.any()


@pytest.mark.parametrize("init", ["jax", "moco"])
def test_xavier_takes_queries_keys_and_values_apart(init):
    block = draw(init).blocks[0]
    for part in block.attn.qkv.weight.chunk(3):
        assert_uniform(part, math.sqrt(6 / (DIM + DIM)))
    assert_uniform(block.attn.proj.weight, math.sqrt(6 / (DIM + DIM)))
    assert_uniform(block.mlp.fc1.weight, math.sqrt(6 / (DIM + 4 * DIM)))
    assert_uniform(block.mlp.fc2.weight, math.sqrt(6 / (DIM + 4 * DIM)))
    assert not block.attn.qkv.bias.any()


def test_patches():
    patches = {init: draw(init).patch_embed.proj for init in get_args(Init)}
    assert_uniform(patches["timm"].weight, 1 / math.sqrt(FAN_IN))  # torch's default
    assert_uniform(patches["moco"].weight, math.sqrt(6 / (FAN_IN + DIM)))
    assert std(patches["classic"].weight) == pytest.approx(math.sqrt(2 / (DIM * PATCH**2)), rel=0.02)
    lecun = patches["jax"].weight
    assert std(lecun) == pytest.approx(1 / math.sqrt(FAN_IN), rel=0.02)
    assert lecun.abs().max() <= 2 / math.sqrt(FAN_IN) / 0.8796
    assert patches["timm"].bias.any()
    assert not any(patches[init].bias.any() for init in ("jax", "classic", "moco"))


def test_jax_starts_from_a_zero_head_and_all_but_zero_mlp_biases():
    model = draw("jax")
    mlp = model.blocks[0].mlp
    assert not model(torch.randn(2, 3, 32, 32)).any()
    assert std(torch.cat((mlp.fc1.bias, mlp.fc2.bias))) == pytest.approx(1e-6, rel=0.1)


def test_moco_and_timm_heads_are_drawn_like_the_other_linear_maps():
    assert_uniform(draw("moco").head.weight, math.sqrt(6 / (DIM + 1000)))
    assert not draw("moco").head.bias.any()


@pytest.mark.parametrize(("init", "spread"), [("timm", 0.02), ("classic", 0.02), ("moco", 1e-6), ("jax", 0)])
def test_class_token(init, spread):
    assert std(draw(init).cls_token) == pytest.approx(spread, rel=0.2)


@pytest.mark.parametrize("init", get_args(Init))
@pytest.mark.parametrize("spread", [0.0, 0.02, 0.5])
def test_position_embeddings_have_the_spread_of_the_config(init, spread):
    assert std(draw(init, pos_embed_std=spread).pos_embed) == pytest.approx(spread, rel=0.05)
    table = draw(init, pos_embed_std=spread, pos_embed="relative").blocks[0].attn.rel_pos.relative_position_bias_table
    assert std(table) == pytest.approx(spread, rel=0.15)


@pytest.mark.parametrize("init", get_args(Init))
def test_norms_start_at_identity(init):
    model = draw(init)
    for norm in (model.blocks[0].norm1, model.blocks[0].norm2, model.norm):
        assert (norm.weight == 1).all()
        assert not norm.bias.any()


@pytest.mark.parametrize("init", get_args(Init))
def test_other_tokens_start_as_theirs_do_in_timm(init):
    model = draw(init, distilled=True, num_registers=4)
    token = {"timm": 0.02, "classic": 0.02, "moco": 1e-6, "jax": 0}[init]
    assert std(model.dist_token) == pytest.approx(token, rel=0.2)
    assert std(model.reg_token) == pytest.approx(1e-6, rel=0.1)
    assert std(draw(init, pool="map").attn_pool.latent) == pytest.approx(DIM**-0.5, rel=0.2)
    if init == "jax":
        assert not model.head_dist.weight.any()


@pytest.mark.parametrize("at", ["stem", "every_layer"])
@pytest.mark.parametrize("kind", ["learned", "learned2d"])
def test_every_learned_table_has_the_spread_of_the_config(kind, at):
    model = draw("timm", pos_embed=kind, pos_embed_at=at, pos_embed_std=0.5, depth=3)
    tables = [p for name, p in model.named_parameters() if "pos_embed" in name]
    assert len(tables) == (3 if at == "every_layer" else 1) * (3 if kind == "learned2d" else 1)
    assert all(std(table) == pytest.approx(0.5, rel=0.2) for table in tables)


def test_attention_pooling_takes_keys_and_values_apart():
    pool = draw("jax", pool="map").attn_pool
    for part in pool.kv.weight.chunk(2):
        assert_uniform(part, math.sqrt(6 / (DIM + DIM)))


@pytest.mark.parametrize("init", get_args(Init))
def test_convolutions_of_a_stem_start_alike_under_every_init(init):
    stems = (
        draw(init, stem="conv").patch_embed.backbone,
        draw(init, stem="hybrid", hybrid_layers=(1, 1)).patch_embed.backbone,
    )
    for module in (m for stem in stems for m in stem.modules() if isinstance(m, torch.nn.Conv2d)):
        fan_out = module.out_channels * module.kernel_size[0] ** 2
        assert std(module.weight) == pytest.approx(math.sqrt(2 / fan_out), rel=0.1)


@pytest.mark.parametrize("init", get_args(Init))
def test_a_model_without_head_class_token_or_qkv_bias_works(init):
    model = draw(init, num_classes=0, pool="mean", qkv_bias=False)
    assert model(torch.randn(2, 3, 32, 32)).shape == (2, DIM)
