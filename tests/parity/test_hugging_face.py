"""Hugging Face's ViT and DeiT through the files that ``save_pretrained`` writes."""

import pytest
import torch
from transformers import (
    DeiTConfig,
    DeiTForImageClassificationWithTeacher,
    ViTForImageClassification,
    ViTModel,
)
from transformers import ViTConfig as HFConfig

from tests.parity.peers import assert_equal, images, randomise
from vitbench import build
from vitbench.declare.vit import ViTConfig
from vitbench.models.weights import load_weights

SIZES = [(32, 8), (48, 16)]


def ours_for(img_size, patch_size, **rest):
    return ViTConfig(
        **{
            "img_size": img_size,
            "patch_size": patch_size,
            "embed_dim": 64,
            "depth": 3,
            "num_heads": 4,
            "num_classes": 10,
            "norm_eps": 1e-12,  # Hugging Face's
        }
        | rest
    )


def theirs_for(cls, config, **rest):
    return cls(
        image_size=config.img_size,
        patch_size=config.patch_size,
        hidden_size=config.embed_dim,
        num_hidden_layers=config.depth,
        num_attention_heads=config.num_heads,
        intermediate_size=config.mlp_dim,
        num_labels=max(config.num_classes, 1),
        qkv_bias=config.qkv_bias,
        **rest,
    )


def loaded(peer, config, folder):
    peer.save_pretrained(folder)
    model = build(config)
    load_weights(model, folder / "model.safetensors")
    return model.eval()


@pytest.mark.parametrize(("img_size", "patch_size"), SIZES)
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_vit(img_size, patch_size, attention, tmp_path):
    config = ours_for(img_size, patch_size)
    peer = randomise(ViTForImageClassification(theirs_for(HFConfig, config, attn_implementation=attention))).eval()
    ours, x = loaded(peer, config, tmp_path), images(config)
    with torch.inference_mode():
        assert_equal(ours(x), peer(x).logits)


@pytest.mark.parametrize(("act", "theirs"), [("gelu_tanh", "gelu_pytorch_tanh"), ("relu", "relu"), ("silu", "silu")])
def test_activations(act, theirs, tmp_path):
    config = ours_for(32, 8, act=act)
    peer = randomise(ViTForImageClassification(theirs_for(HFConfig, config, hidden_act=theirs))).eval()
    ours, x = loaded(peer, config, tmp_path), images(config)
    with torch.inference_mode():
        assert_equal(ours(x), peer(x).logits)


def test_the_pooler_is_our_pre_logits(tmp_path):
    config = ours_for(32, 8, num_classes=0, representation_size=64)
    peer = randomise(ViTModel(theirs_for(HFConfig, config))).eval()
    ours, x = loaded(peer, config, tmp_path), images(config)
    with torch.inference_mode():
        assert_equal(ours(x), peer(x).pooler_output)


@pytest.mark.parametrize(("img_size", "patch_size"), SIZES)
def test_distilled_deit(img_size, patch_size, tmp_path):
    config = ours_for(img_size, patch_size, distilled=True)
    peer = randomise(DeiTForImageClassificationWithTeacher(theirs_for(DeiTConfig, config))).eval()
    ours, x = loaded(peer, config, tmp_path), images(config)
    with torch.inference_mode():
        theirs = peer(x)
        assert_equal(ours(x), theirs.logits)
        for mine, other in zip(ours.train()(x), (theirs.cls_logits, theirs.distillation_logits), strict=True):
            assert_equal(mine, other)


def test_gradients_of_the_images(tmp_path):
    config = ours_for(32, 8)
    peer = randomise(ViTForImageClassification(theirs_for(HFConfig, config))).eval()
    ours, x = loaded(peer, config, tmp_path), images(config)
    mine, theirs = (x.double().requires_grad_() for _ in range(2))
    ours.double()(mine)[:, ::2].sum().backward()
    peer.double()(theirs).logits[:, ::2].sum().backward()
    torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(
        ours.patch_embed.proj.weight.grad,
        peer.vit.embeddings.patch_embeddings.projection.weight.grad,
        rtol=1e-9,
        atol=1e-12,
    )
