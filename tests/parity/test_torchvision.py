"""torchvision's models through files, as a user has them."""

import pytest
import torch

from tests.parity.peers import assert_equal, assert_same_gradients, images, import_torchvision, randomise
from vitbench import build, zoo
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.vit import ViTConfig
from vitbench.models.weights import config_from_checkpoint, load_weights

models = import_torchvision().models


def vit(config):
    peer = models.VisionTransformer(
        image_size=config.img_size,
        patch_size=config.patch_size,
        num_layers=config.depth,
        num_heads=config.num_heads,
        hidden_dim=config.embed_dim,
        mlp_dim=config.mlp_dim,
        num_classes=config.num_classes,
    )
    return randomise(peer).eval()


def loaded(peer, config, folder):
    torch.save(peer.state_dict(), folder / "peer.pth")
    model = build(config)
    load_weights(model, folder / "peer.pth")
    return model.eval()


@pytest.mark.parametrize("img_size", [224, 80])
def test_vit_b_16(img_size, tmp_path):
    config = ViTConfig(img_size=img_size, depth=2)
    peer = vit(config)
    ours, x = loaded(peer, config, tmp_path), images(config)
    with torch.inference_mode():
        assert_equal(ours(x), peer(x))
    with pytest.warns(UserWarning, match="heads"):  # no shape shows them; 64 channels each is a guess
        assert config_from_checkpoint(tmp_path / "peer.pth") == config


def test_vit_b_16_whole(tmp_path):
    config = zoo("vit_base_patch16_224")
    peer = randomise(models.vit_b_16(weights=None)).eval()
    ours, x = loaded(peer, config, tmp_path), images(config, batch=1)
    with torch.inference_mode():
        assert_equal(ours(x), peer(x))


def test_vit_gradients(tmp_path):
    config = ViTConfig(img_size=32, patch_size=8, embed_dim=64, depth=2, num_heads=1, num_classes=10)
    peer = vit(config)
    ours, x = loaded(peer, config, tmp_path), images(config).double().requires_grad_()
    other = x.detach().clone().requires_grad_()
    ours.double()(x)[:, ::2].sum().backward()
    peer.double()(other)[:, ::2].sum().backward()
    torch.testing.assert_close(x.grad, other.grad, rtol=1e-9, atol=1e-12)
    for index, block in enumerate(ours.blocks):
        attention = peer.encoder.layers[index].self_attention
        torch.testing.assert_close(block.attn.qkv.weight.grad, attention.in_proj_weight.grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
@pytest.mark.parametrize("img_size", [224, 97])
def test_resnet(depth, img_size, tmp_path):
    config = ResNetConfig(depth=depth, img_size=img_size)
    peer = randomise(models.get_model(f"resnet{depth}", weights=None)).eval()
    ours, x = loaded(peer, config, tmp_path), images(config, batch=1)
    with torch.inference_mode():
        assert_equal(ours(x), peer(x))


@pytest.mark.parametrize("depth", [18, 50])
def test_resnet_gradients(depth, tmp_path):
    config = ResNetConfig(depth=depth, img_size=64, num_classes=10)
    peer = randomise(models.get_model(f"resnet{depth}", weights=None, num_classes=10)).eval()
    assert_same_gradients(loaded(peer, config, tmp_path), peer, images(config))
