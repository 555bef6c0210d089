"""Whole transformers under random combinations of all knobs: closed forms and invariants that hold for each."""

from __future__ import annotations

import copy
import dataclasses
import json
from typing import get_args

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from vitbench.declare import vit as words
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.serialize import from_dict
from vitbench.declare.sizes import as_pair
from vitbench.declare.vit import ViTConfig
from vitbench.models import build
from vitbench.models.vit import VisionTransformer
from vitbench.utils.errors import ImpossibleConfigError, UserError

SMALL = {"img_size": (8, 12), "patch_size": 4, "in_chans": 2, "num_classes": 3, "embed_dim": 16, "depth": 2}
HYBRID = {"stem": "hybrid", "hybrid_layers": (1,), "hybrid_width": 32}
KNOBS = [
    *(
        {"pos_embed": word, "pos_embed_at": at}
        for word in ("learned2d", "sincos1d")
        for at in get_args(words.PosEmbedAt)
    ),
    *({"pos_embed_at": at} for at in ("every_layer", "every_layer_shared")),
    *({"patch_norm": True}, {"pool": "map"}, {"num_registers": 2}, {"num_registers": 2, "pool": "mean"}),
    *({"distilled": True}, {"distilled": True, "num_registers": 1, "num_classes": 0}, {"representation_size": 5}),
    *({"stem": "conv"}, HYBRID, HYBRID | {"hybrid_layers": ()}),
    *({"norm": word, "pool": pool} for word in ("rmsnorm", "batchnorm") for pool in get_args(words.Pool)),
    *(
        {"norm_position": "post"},
        {"norm_position": "post", "norm": "batchnorm"},
        {"norm_position": "post", "layer_scale": 1},
    ),
    *({"act": "gelu_tanh"}, {"act": "relu"}, {"act": "silu"}, {"mlp": "swiglu"}),
    *(
        {"qk_norm": True},
        {"qk_norm": True, "norm": "rmsnorm", "pos_embed": "rope"},
        {"qk_norm": True, "norm": "batchnorm"},
    ),
    *({"qk_scale": 1.0}, {"attention": "eager"}, {"attention": "eager", "pos_embed": "relative"}),
    *({"attn_mask": "causal", "pool": "mean", "pos_embed": word} for word in ("learned", "relative", "rope")),
    *({"residual": False}, {"residual": False, "norm_position": "post"}, {"layer_scale": 0.1}),
]
each_knob = pytest.mark.parametrize("knobs", KNOBS, ids=str)


def small(**changes):
    torch.manual_seed(0)
    return VisionTransformer(ViTConfig(**{**SMALL, "num_heads": 2, **changes}))


def images(model, batch=3, dtype=torch.float32):
    shape = (batch, model.config.in_chans, *model.patch_embed.img_size)
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(1))


def scattered(model):
    """Every parameter and statistic away from its start, so that nothing is 0 or 1 by chance."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype), alpha=0.3)
        for name, buffer in model.named_buffers():
            if name.endswith("running_var"):
                buffer.add_(torch.rand(buffer.shape, generator=generator, dtype=buffer.dtype))
    return model


@st.composite
def configs(draw):
    """Any combination that is possible."""
    word = lambda alias: draw(st.sampled_from(get_args(alias)))  # noqa: E731
    grid = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    patch = draw(st.sampled_from([2, 4]))
    values = {
        "img_size": (patch * grid[0], patch * grid[1]),
        "patch_size": patch,
        "in_chans": draw(st.integers(1, 3)),
        "num_classes": draw(st.integers(0, 4)),
        "embed_dim": draw(st.sampled_from([16, 24])),
        "depth": draw(st.integers(1, 3)),
        "num_heads": draw(st.sampled_from([1, 2])),
        "mlp_ratio": draw(st.sampled_from([1.0, 2.5])),
        "qkv_bias": draw(st.booleans()),
        "pos_embed": word(words.PosEmbed),
        "pos_embed_at": word(words.PosEmbedAt),
        "patch_norm": draw(st.booleans()),
        "pool": word(words.Pool),
        "num_registers": draw(st.integers(0, 2)),
        "distilled": draw(st.booleans()),
        "representation_size": draw(st.sampled_from([None, 5])),
        "stem": word(words.Stem),
        "hybrid_layers": draw(st.sampled_from([(), (1,), (2,)])),
        "hybrid_width": 32,
        "norm": word(words.Norm),
        "norm_position": word(words.NormPosition),
        "act": word(words.Act),
        "mlp": word(words.MlpKind),
        "qk_norm": draw(st.booleans()),
        "qk_scale": draw(st.sampled_from([None, 1.0])),
        "attention": word(words.AttentionKind),
        "attn_mask": word(words.AttnMask),
        "residual": draw(st.booleans()),
        "layer_scale": draw(st.sampled_from([None, 0.1])),
        "init": word(words.Init),
    }
    try:
        return ViTConfig(**values)
    except ImpossibleConfigError:
        assume(condition=False)


def parameters_by_arithmetic(c):
    (height, width), dim, hidden, (patch, _) = c.grid_size, c.embed_dim, c.mlp_dim, (c.patch_size, None)
    norm = dim if c.norm == "rmsnorm" else 2 * dim
    head_norm = norm // c.num_heads
    prefix = (c.pool == "cls") + c.distilled + c.num_registers
    total = dim * prefix

    def linear(inputs, outputs):
        return (inputs + 1) * outputs

    features, kernel = c.in_chans, patch
    if c.stem == "conv":
        kernel, channels = 1, [dim // 2, dim] if patch == 4 else [dim]
        for outputs in channels:
            total += 9 * features * outputs + 2 * outputs
            features = outputs
    if c.stem == "hybrid":
        kernel, features = patch // 4, 32
        total += 49 * c.in_chans * 32 + 2 * 32
        for block in range(sum(c.hybrid_layers)):
            total += features * 32 + 9 * 32 * 32 + 32 * 128 + 2 * (32 + 32 + 128)
            total += 0 if block else features * 128 + 2 * 128
            features = 128
    total += linear(features * kernel**2, dim) + norm * c.patch_norm

    table = {"learned": (prefix + height * width) * dim, "learned2d": prefix * dim + (height + width) * dim // 2}
    total += table.get(c.pos_embed, 0) * (c.depth if c.pos_embed_at == "every_layer" else 1)
    if c.pos_embed == "relative":
        total += c.depth * c.num_heads * ((2 * height - 1) * (2 * width - 1) + 3 * bool(prefix))

    mlp = linear(dim, hidden) * (2 if c.mlp == "swiglu" else 1) + linear(hidden, dim)
    attention = 3 * dim * (dim + c.qkv_bias) + linear(dim, dim) + 2 * head_norm * c.qk_norm
    total += c.depth * (2 * norm + attention + mlp + 2 * dim * (c.layer_scale is not None))
    total += norm * (c.norm_position == "pre")
    if c.pool == "map":
        total += dim + linear(dim, dim) + linear(dim, 2 * dim) + linear(dim, dim) + norm
        total += linear(dim, hidden) + linear(hidden, dim)
    total += linear(dim, c.representation_size) if c.representation_size else 0
    return total + linear(c.representation_size or dim, c.num_classes) * (1 + c.distilled)


@given(configs())
def test_any_possible_combination_builds_runs_and_has_the_parameters_of_arithmetic(config):
    torch.manual_seed(0)
    model = VisionTransformer(config)
    assert sum(p.numel() for p in model.parameters()) == parameters_by_arithmetic(config)
    x = images(model)
    out = model(x)
    for head in out if config.distilled else (out,):
        assert head.shape == (3, config.num_classes or config.representation_size or config.embed_dim)
        assert head.isfinite().all()
    scattered(model).eval()
    fused, written_out = (
        VisionTransformer(dataclasses.replace(config, attention=word)).double().eval() for word in ("sdpa", "eager")
    )
    for other in (fused, written_out):
        other.load_state_dict(model.state_dict())
    x = x.double()  # in single precision large outputs would differ by rounding
    torch.testing.assert_close(fused(x), written_out(x))


@each_knob
def test_every_parameter_receives_a_gradient(knobs):
    model = scattered(small(**knobs))
    out = model(images(model))
    sum(head.square().sum() for head in (out if isinstance(out, tuple) else (out,))).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        if not name.endswith("k_norm.bias"):  # moves all scores of a query alike, which softmax does not see
            assert parameter.grad.any(), name


@each_knob
def test_float32_agrees_with_float64(knobs):
    model = scattered(small(**knobs)).eval()
    x = images(model)
    torch.testing.assert_close(model(x).double(), copy.deepcopy(model).double()(x.double()), rtol=1e-3, atol=1e-4)


@each_knob
def test_the_exported_program_puts_out_the_same(knobs):
    model = scattered(small(**knobs)).eval()
    x = images(model)
    torch.testing.assert_close(torch.export.export(model, (x,)).module()(x), model(x))


@each_knob
def test_builds_and_runs_without_storage_and_under_autocast(knobs):
    with torch.device("meta"):
        assert small(**knobs).eval()(torch.empty(2, 2, 8, 12)).device.type == "meta"
    model = small(**knobs).eval()
    with torch.autocast("cpu", torch.bfloat16):
        assert model.embed(images(model)).dtype == torch.float32
        assert model(images(model)).isfinite().all()
    assert model.bfloat16()(images(model, dtype=torch.bfloat16)).dtype == torch.bfloat16


@each_knob
def test_tokens_and_positions_take_no_decay(knobs):
    model = small(**knobs)
    words_of = ("token", "pos_embed", "latent", "bias_table")
    assert model.no_weight_decay() == {n for n, _ in model.named_parameters() if any(word in n for word in words_of)}


def shuffle_patches(x, order, patch):
    batch, chans, height, width = x.shape
    cut = x.reshape(batch, chans, height // patch, patch, width // patch, patch).permute(0, 2, 4, 1, 3, 5)
    shuffled = cut.flatten(1, 2)[:, order].reshape(cut.shape)
    return shuffled.permute(0, 3, 1, 4, 2, 5).reshape(x.shape)


@given(configs(), st.randoms(use_true_random=False))
def test_without_positions_the_order_of_patches_is_ignored(config, random):
    config = dataclasses.replace(config, pos_embed="none", stem="patchify", attn_mask="none")
    model = scattered(VisionTransformer(config)).double().eval()
    x = images(model, dtype=torch.float64)
    order = random.sample(range(config.num_patches), config.num_patches)
    torch.testing.assert_close(model(shuffle_patches(x, torch.tensor(order), config.patch_size)), model(x))


@pytest.mark.parametrize("pool", ["mean", "map"])
@pytest.mark.parametrize("kind", [*get_args(words.PosEmbed), "causal"])
def test_only_positions_and_a_causal_mask_make_the_order_matter(kind, pool):
    knobs = {"pos_embed": "none", "attn_mask": "causal"} if kind == "causal" else {"pos_embed": kind}
    model = scattered(small(pool=pool, **knobs)).double().eval()
    x = images(model, dtype=torch.float64)
    moved = shuffle_patches(x, torch.tensor([3, 0, 5, 1, 4, 2]), 4)
    assert torch.allclose(model(x), model(moved), rtol=1e-9) == (kind == "none")


@given(configs(), st.integers(0, 8))
def test_a_causal_mask_lets_no_later_token_change_an_earlier_one(config, place):
    pool = config.pool if config.pool != "cls" else "mean"
    config = dataclasses.replace(config, distilled=False, pool=pool, attn_mask="causal")
    model = scattered(VisionTransformer(config)).double().eval()
    place = config.num_prefix_tokens + place % config.num_patches
    tokens = torch.randn(2, config.num_prefix_tokens + config.num_patches, config.embed_dim, dtype=torch.float64)
    changed = tokens.clone()
    changed[:, place] += torch.randn(config.embed_dim, dtype=torch.float64)
    for block in model.blocks:
        tokens, changed = block(tokens), block(changed)
    torch.testing.assert_close(tokens[:, :place], changed[:, :place])
    if config.residual:  # without, a branch of dead ReLUs may put out the same
        assert not torch.equal(tokens[:, place], changed[:, place])


@given(configs(), st.integers(1, 2))
def test_a_padded_sequence_equals_the_unpadded_one(config, rows):
    """Rows of patches below the image, masked away: whatever they hold, nothing changes."""
    config = dataclasses.replace(config, stem="patchify")
    height, width = config.img_size
    larger = dataclasses.replace(config, img_size=(height + rows * config.patch_size, width))
    full = scattered(VisionTransformer(larger)).double().eval()
    cropped = VisionTransformer(config).double().eval()
    state, own = full.state_dict(), cropped.state_dict()
    for name, tensor in state.items():
        if name.endswith("pos_embed"):
            state[name] = tensor[:, : own[name].shape[1]]
        elif name.endswith("pos_embed.rows"):
            state[name] = tensor[: len(own[name])]
        elif name.endswith("bias_table"):
            state[name] = offsets_of_the_smaller_grid(tensor, larger.grid_size, config.grid_size)
    cropped.load_state_dict(state)
    x = 3 * images(full, dtype=torch.float64)
    mask = (torch.arange(larger.num_patches) < config.num_patches).expand(len(x), -1)
    torch.testing.assert_close(full(x, mask), cropped(x[:, :, :height]))


def offsets_of_the_smaller_grid(table, large, little):
    cells = (2 * large[0] - 1) * (2 * large[1] - 1)
    inside = table[:cells].reshape(2 * large[0] - 1, 2 * large[1] - 1, -1)
    cut = large[0] - little[0]
    return torch.cat((inside[cut : len(inside) - cut].flatten(0, 1), table[cells:]))


def test_padding_does_not_train_with_batch_norm():
    model = small(norm="batchnorm")
    mask = torch.ones(3, 6, dtype=torch.bool)
    with pytest.raises(UserError, match="padding mask and norm=batchnorm"):
        model(images(model), mask)
    assert model.eval()(images(model), mask).shape == (3, 3)


@pytest.mark.parametrize("knobs", [{}, {"norm_position": "post"}, {"norm": "batchnorm"}], ids=str)
def test_without_residuals_each_branch_replaces_its_input(knobs):
    block = scattered(small(residual=False, **knobs)).eval().blocks[0]
    x = torch.randn(2, 7, 16)
    if knobs.get("norm_position") == "post":
        x1 = block.norm1(block.attn(x))
        expected = block.norm2(block.mlp(x1))
    else:
        expected = block.mlp(block.norm2(block.attn(block.norm1(x))))
    torch.testing.assert_close(block(x), expected)


def test_a_post_norm_block_is_that_of_2017():
    """Against torch's own encoder layer, ReLU and all."""
    block = scattered(small(norm_position="post", act="relu")).eval().blocks[0]
    theirs = nn.TransformerEncoderLayer(16, 2, 64, batch_first=True, layer_norm_eps=1e-6, norm_first=False).eval()
    names = {"norm1": "norm1", "norm2": "norm2", "self_attn.out_proj": "attn.proj", "linear1": "mlp.fc1"}
    names |= {"linear2": "mlp.fc2"}
    state = {f"{a}.{part}": block.state_dict()[f"{b}.{part}"] for a, b in names.items() for part in ("weight", "bias")}
    state |= {f"self_attn.in_proj_{part}": block.state_dict()[f"attn.qkv.{part}"] for part in ("weight", "bias")}
    theirs.load_state_dict(state)
    x = torch.randn(2, 7, 16)
    torch.testing.assert_close(block(x), theirs(x))


def test_a_post_norm_transformer_has_no_norm_at_the_end():
    assert not any(name.startswith("norm.") for name in small(norm_position="post").state_dict())


def test_layer_scale_of_0_makes_a_block_the_identity():
    block = small(layer_scale=0.0).blocks[0]
    x = torch.randn(2, 7, 16)
    assert torch.equal(block(x), x)
    assert {"ls1.gamma", "ls2.gamma"} < set(block.state_dict())


def test_two_heads_come_out_apart_in_training_and_averaged_in_evaluation():
    model = scattered(small(distilled=True))
    x = images(model)
    first, second = model(x)
    torch.testing.assert_close(model.eval()(x), (first + second) / 2)
    tokens = model.embed(x)
    for block in model.blocks:
        tokens = block(tokens)
    torch.testing.assert_close(first, model.head(model.norm(tokens)[:, 0]))
    torch.testing.assert_close(second, model.head_dist(model.norm(tokens)[:, 1]))


def test_registers_are_not_read():
    model = small(num_registers=2, pool="mean")
    x = torch.randn(2, 8, 16)
    changed = x.clone()
    changed[:, :2] += 1
    assert torch.equal(model.pool(x), model.pool(changed))


def test_the_representation_layer_is_a_tanh_under_timms_old_name():
    model = scattered(small(representation_size=5, pool="mean"))
    assert {"pre_logits.fc.weight", "pre_logits.fc.bias"} < set(model.state_dict())
    x = torch.randn(2, 6, 16)
    plain = model.norm(x).mean(1) @ model.pre_logits.fc.weight.T + model.pre_logits.fc.bias
    torch.testing.assert_close(model.pool(x), plain.tanh())


@pytest.mark.parametrize("at", get_args(words.PosEmbedAt))
@pytest.mark.parametrize("kind", ["learned", "learned2d", "sincos1d", "sincos2d"])
def test_positions_come_again_before_later_layers(kind, at):
    """With blocks that put out what they get, all that is added up shows."""
    model = scattered(small(pos_embed=kind, pos_embed_at=at, depth=3, pool="mean", num_classes=0))
    model.blocks.apply(lambda m: nn.init.zeros_(m.weight) if isinstance(m, nn.Linear) else None)
    model.blocks.apply(lambda m: nn.init.zeros_(m.bias) if isinstance(m, nn.Linear) else None)
    tables = [model.pos_embed]
    if at != "stem":
        tables += [block.pos_embed if block.pos_embed is not None else model.pos_embed for block in model.blocks[1:]]
    learned = kind.startswith("learned")
    assert len({id(table) for table in tables}) == (3 if at == "every_layer" and learned else 1)
    patches = model.patch_embed(images(model))
    total = patches + sum(table if isinstance(table, torch.Tensor) else table() for table in tables)
    torch.testing.assert_close(model(images(model)), model.norm(total).mean(1))


STORED = {  # of seed 0, before this module's knobs existed: Σ|weights and statistics|, logits; torch 2.13, CPU
    "vit": (206.069413, [-0.030834, -0.04421, -0.021491, -0.035849, -0.048902, 0.002246]),
    "vit relative moco": (1132.214993, [-1.918459, 0.666146, 1.148278, -1.023977, 0.542572, -0.123895]),
    "resnet basic": (4083.88977, [0.109637, -0.268684, -0.081012, 0.490668, 0.360945, 0.116612]),
    "resnet cifar": (623.500095, [-0.359142, -0.014899, 0.091353, -0.333253, 0.007417, 0.031507]),
}
OLD = {
    "vit": ViTConfig(img_size=(4, 6), patch_size=2, in_chans=2, num_classes=3, embed_dim=16, depth=2, num_heads=2),
    "resnet basic": ResNetConfig(img_size=32, depth=18, width=4, num_classes=3),
    "resnet cifar": ResNetConfig(
        img_size=32, depth=None, layers=(1, 1), block="bottleneck", width=4, stem="cifar", num_classes=3
    ),
}
OLD["vit relative moco"] = dataclasses.replace(OLD["vit"], pos_embed="relative", init="moco")


@pytest.mark.parametrize("name", STORED)
def test_defaults_draw_and_compute_what_they_did_before_there_were_knobs(name):
    torch.manual_seed(0)
    model = build(OLD[name])
    x = torch.randn(2, OLD[name].in_chans, *as_pair(OLD[name].img_size))
    weights, logits = STORED[name]
    assert model(x).flatten().tolist() == pytest.approx(logits, abs=2e-5)
    assert sum(t.double().abs().sum().item() for t in model.state_dict().values()) == pytest.approx(weights, abs=1e-3)


def test_a_config_of_before_is_read_as_it_was_meant():
    old = {"type": "ViTConfig", "embed_dim": 192, "num_heads": 3, "pool": "mean"}
    assert from_dict(json.loads(json.dumps(old))) == ViTConfig(embed_dim=192, num_heads=3, pool="mean")
