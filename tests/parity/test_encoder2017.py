"""The encoder of 2017 against torch's own ``nn.TransformerEncoder``."""

import dataclasses
import math
import re

import torch
from torch import nn

from tests.parity.peers import assert_equal, assert_same_gradients, images, randomise
from vitbench import build, zoo

RENAMED = {
    "attn.qkv.": "self_attn.in_proj_",
    "attn.proj.": "self_attn.out_proj.",
    "mlp.fc": "linear",
    "blocks.": "encoder.layers.",
}


def their_name(name):
    return re.sub("|".join(map(re.escape, RENAMED)), lambda m: RENAMED[m[0]], name)


class Peer(nn.Module):
    """Patches, a class token, the sinusoids of the paper written out, torch's encoder, a linear head."""

    def __init__(self, config):
        super().__init__()
        dim, patch = config.embed_dim, config.patch_size
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(config.in_chans, dim, patch, stride=patch)})
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        layer = nn.TransformerEncoderLayer(
            dim,
            config.num_heads,
            config.mlp_dim,
            dropout=config.drop_rate,
            activation="relu",
            layer_norm_eps=config.norm_eps,
            batch_first=True,
            norm_first=False,
        )
        self.encoder = nn.TransformerEncoder(layer, config.depth, enable_nested_tensor=False)
        self.head = nn.Linear(dim, config.num_classes)

    def forward(self, x):
        x = self.patch_embed["proj"](x)
        batch, dim, height, width = x.shape
        tokens = [
            [
                (math.cos if channel % 2 else math.sin)(place / 10_000 ** ((channel - channel % 2) / dim))
                for channel in range(dim)
            ]
            for place in range(height * width)
        ]
        x = x.reshape(batch, dim, -1).permute(0, 2, 1) + torch.tensor(tokens).to(x)
        return self.head(self.encoder(torch.cat((self.cls_token.repeat(batch, 1, 1), x), dim=1))[:, 0])


def pair(**changes):
    config = dataclasses.replace(zoo("encoder2017_base_patch16_224"), num_classes=10, **changes)
    peer = randomise(Peer(config)).eval()
    ours, state = build(config).eval(), peer.state_dict()
    names = [name for name, _ in ours.named_parameters()]
    assert {their_name(name) for name in names} == set(state)
    missing = ours.load_state_dict({name: state[their_name(name)] for name in names}, strict=False)
    assert missing.missing_keys == ["pos_embed"]  # fixed
    return ours, peer, config


def test_native_resolution():
    ours, peer, config = pair()
    x = images(config, batch=1)
    with torch.inference_mode():
        assert_equal(ours(x), peer(x))


def test_another_resolution_and_gradients():
    ours, peer, config = pair(img_size=(48, 80), depth=2)
    x = images(config)
    with torch.inference_mode():
        assert_equal(ours(x), peer(x))
    # their table is made in float32, as ours is, and both are then cast
    assert_same_gradients(ours, peer, x, their_name, rtol=1e-5)
