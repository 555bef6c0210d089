"""Every zoo entry that timm has, with timm's own weights under timm's own names."""

import collections
import dataclasses
import functools
import re

import pytest
import timm
import torch
from timm.layers import RmsNorm, SwiGLU
from torch import nn
from vit_pytorch.simple_vit import posemb_sincos_2d

from tests.parity.peers import assert_equal, assert_same_gradients, images, randomise
from vitbench import build, zoo
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.sizes import as_pair
from vitbench.declare.vit import ViTConfig
from vitbench.declare.zoo import names

NOT_IN_TIMM = {"simple_vit_small_patch16_224", "encoder2017_base_patch16_224", "vit_digits", "resnet_digits"}
ZOO = [name for name in names() if name not in NOT_IN_TIMM]
VITS = [name for name in ZOO if isinstance(zoo(name), ViTConfig)]
RESNETS = [name for name in ZOO if isinstance(zoo(name), ResNetConfig)]

ONE_OF_EACH = [
    "vit_tiny_patch16_224",
    "vit_base_patch32_224_in21k",
    "deit_tiny_patch16_224",
    "deit_tiny_distilled_patch16_224",
    "vit_tiny_r_s16_p8_224",
    "vit_small_r26_s32_224",
]
WHOLE = [*ONE_OF_EACH, "vit_small_patch32_224", "vit_base_patch16_224", "vit_base_r50_s16_224"]


def timm_model(name, config):
    """timm's model of this name, random, at the size and depth of our config; ``pre_logits`` is put back into it."""
    name = name.removesuffix("_no_pre_logits").removesuffix("_in21k")
    if not timm.is_model(name):
        name = name.replace("_384", "_224")
    sizes = {"img_size": as_pair(config.img_size), "depth": config.depth} if isinstance(config, ViTConfig) else {}
    model = timm.create_model(name, num_classes=config.num_classes, **sizes)
    if getattr(config, "representation_size", None):
        width = config.representation_size
        fc = nn.Linear(config.embed_dim, width)
        model.head = nn.Sequential(
            collections.OrderedDict(fc=fc, act=nn.Tanh(), head=nn.Linear(width, config.num_classes))
        )
    return randomise(model).eval()


def their_name(config):
    """Our parameter's name → the one in ``timm_model``, where ``pre_logits`` stands inside the head."""
    if not getattr(config, "representation_size", None):
        return lambda name: name
    return lambda name: re.sub("^(pre_logits.fc|head)", lambda m: f"head.{m[0].rpartition('.')[2]}", name)


def with_weights_of(peer, config):
    """Our model with all that the peer's state dict holds, nothing missing, nothing left over."""
    model = build(config)
    state, rename = peer.state_dict(), their_name(config)
    left_over = set(state) - {rename(name) for name in model.state_dict()}
    assert not left_over
    model.load_state_dict({name: state[rename(name)] for name in model.state_dict()}, strict=True)
    return model.eval()


def other_size(config):
    """Two layers and ten classes on no square, which is another number of patches."""
    height, width = as_pair(config.patch_size)
    return dataclasses.replace(config, img_size=(3 * height, 5 * width), depth=2, num_classes=10)


def assert_parity(name, config, batch=2):
    peer = timm_model(name, config)
    ours, x = with_weights_of(peer, config), images(config, batch)
    with torch.inference_mode():
        assert_equal(ours(x), peer(x))


@pytest.mark.parametrize("name", VITS)
def test_two_layers_at_the_native_resolution(name):
    assert_parity(name, dataclasses.replace(zoo(name), depth=2), batch=1)


@pytest.mark.parametrize("name", VITS)
def test_two_layers_at_another_resolution(name):
    assert_parity(name, other_size(zoo(name)))


@pytest.mark.parametrize("name", WHOLE)
def test_all_layers(name):
    assert_parity(name, zoo(name), batch=1)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_gradients(name):
    config = other_size(zoo(name))
    peer = timm_model(name, config)
    assert_same_gradients(with_weights_of(peer, config), peer, images(config), their_name(config))


@pytest.mark.parametrize("name", RESNETS)
@pytest.mark.parametrize("size", [224, (97, 130)], ids=["native", "odd"])
def test_resnet(name, size):
    assert_parity(name, dataclasses.replace(zoo(name), img_size=size), batch=1)


@pytest.mark.parametrize("name", ["resnet18", "resnet18d", "resnet50", "resnet50d"])
def test_resnet_gradients(name):
    config = dataclasses.replace(zoo(name), img_size=(65, 96), num_classes=10)
    peer = timm_model(name, config)
    assert_same_gradients(with_weights_of(peer, config), peer, images(config))


def test_resnet_statistics_of_a_training_step():
    config = dataclasses.replace(zoo("resnet18d"), img_size=64, num_classes=10)
    peer = timm_model("resnet18d", config)
    ours, x = with_weights_of(peer, config), images(config, batch=4)
    assert_equal(ours.train()(x), peer.train()(x))
    for name, theirs in peer.named_buffers():
        torch.testing.assert_close(ours.get_buffer(name), theirs, rtol=1e-5, atol=1e-5)


def test_both_heads_in_training():
    name = "deit_tiny_distilled_patch16_224"
    config = dataclasses.replace(zoo(name), depth=2)
    peer = timm_model(name, config)
    peer.set_distilled_training(True)
    ours, x = with_weights_of(peer, config), images(config)
    for mine, theirs in zip(ours.train()(x), peer.train()(x), strict=True):
        assert_equal(mine, theirs)


# our knob → what timm calls it
KNOBS = {
    "mean": ({"pool": "mean"}, {"class_token": False, "global_pool": "avg", "final_norm": True, "fc_norm": False}),
    "map": ({"pool": "map"}, {"class_token": False, "global_pool": "map"}),
    "registers": ({"num_registers": 4}, {"reg_tokens": 4}),
    "no positions": ({"pos_embed": "none"}, {"pos_embed": "none"}),
    "no qkv bias": ({"qkv_bias": False}, {"qkv_bias": False}),
    "qk norm": ({"qk_norm": True}, {"qk_norm": True}),
    "layer scale": ({"layer_scale": 0.1}, {"init_values": 0.1}),
    "swiglu": ({"mlp": "swiglu"}, {"mlp_layer": SwiGLU, "act_layer": nn.SiLU}),  # timm's Block would hand it a GELU
    "rms norm": ({"norm": "rmsnorm"}, {"norm_layer": functools.partial(RmsNorm, eps=1e-6)}),
    "silu": ({"act": "silu"}, {"act_layer": nn.SiLU}),
    "tanh gelu": ({"act": "gelu_tanh"}, {"act_layer": functools.partial(nn.GELU, approximate="tanh")}),
    "patch norm": (
        {"patch_norm": True},
        {
            "embed_layer": functools.partial(
                timm.layers.PatchEmbed, norm_layer=functools.partial(nn.LayerNorm, eps=1e-6)
            )
        },
    ),
    "no classes": ({"num_classes": 0}, {}),
    "narrow mlp": ({"mlp_ratio": 2.5}, {"mlp_ratio": 2.5}),
}


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("knob", KNOBS)
def test_knob(knob, attention):
    ours, theirs = KNOBS[knob]
    small = {"img_size": (32, 48), "patch_size": 8, "embed_dim": 64, "depth": 3, "num_heads": 4, "num_classes": 10}
    config = ViTConfig(**small | ours, attention=attention)
    peer = randomise(timm.models.VisionTransformer(**small | {"num_classes": config.num_classes} | theirs)).eval()
    model, x = with_weights_of(peer, config), images(config)
    with torch.inference_mode():
        assert_equal(model(x), peer(x))
    assert_same_gradients(model, peer, x)


@pytest.mark.parametrize("size", [224, (48, 80)], ids=["native", "other"])
def test_simple_vit_has_the_positions_of_vit_pytorch(size):
    config = dataclasses.replace(zoo("simple_vit_small_patch16_224"), depth=2, img_size=size)
    _, mean_pooling = KNOBS["mean"]
    peer = timm.create_model("vit_small_patch16_224", img_size=as_pair(size), depth=2, **mean_pooling)
    randomise(peer).eval()
    ours = build(config).eval()
    state = peer.state_dict()
    state["pos_embed"] = posemb_sincos_2d(*config.grid_size, config.embed_dim)[None]
    peer.load_state_dict(state)
    ours.load_state_dict({name: state[name] for name in ours.state_dict()})
    x = images(config)
    with torch.inference_mode():
        assert_equal(ours(x), peer(x))
