"""Settings of a measurement reach the model and the images that are measured."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vitbench.declare.measure import MeasureConfig
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.vit import ViTConfig
from vitbench.measure import memory
from vitbench.measure.prepare import modelled, prepared
from vitbench.measure.timing.subject import Subject, place
from vitbench.models import build
from vitbench.models.activation_checkpointing import Checkpointed, checkpoint_activations
from vitbench.utils.errors import UserError

VIT = ViTConfig(img_size=8, patch_size=4, in_chans=3, num_classes=10, embed_dim=32, depth=3, num_heads=2)
RESNET = ResNetConfig(depth=18, width=8, stem="cifar", img_size=8, num_classes=10)
DROPPING = ViTConfig(
    img_size=8, patch_size=4, num_classes=10, embed_dim=32, depth=3, num_heads=2, drop_rate=0.2, drop_path_rate=0.2
)


def settings(**changes):
    return MeasureConfig(batch_size=4, **changes)


def checkpointed_in(model):
    return [name for name, part in model.named_modules() if isinstance(part, Checkpointed)]


def test_by_default_nothing_is_changed():
    model, images = prepared(VIT, settings(), device="cpu", training=True)
    assert type(model) is type(build(VIT))
    assert checkpointed_in(model) == []
    assert images.shape == (4, 3, 8, 8)
    assert (images.dtype, images.is_contiguous()) == (torch.float32, True)
    assert modelled(VIT, settings(), training=True) == (VIT, None)


def test_weights_and_images_are_the_same_every_time():
    (one, images), (two, again) = (prepared(VIT, settings(), device="cpu") for _ in range(2))
    assert torch.equal(images, again)
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), two.parameters(), strict=True))


def test_channels_last_orders_convolutions_and_images():
    model, images = prepared(RESNET, settings(channels_last=True), device="cpu")
    assert images.is_contiguous(memory_format=torch.channels_last)
    kernels = [p for p in model.parameters() if p.ndim == 4]
    assert kernels
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in kernels)
    plain, same = prepared(RESNET, settings(), device="cpu")
    torch.testing.assert_close(model.eval()(images), plain.eval()(same), rtol=1e-4, atol=1e-5)


def test_dtype_reaches_weights_and_images():
    model, images = prepared(VIT, settings(dtype="bfloat16"), device="cpu")
    assert {p.dtype for p in model.parameters()} == {images.dtype} == {torch.bfloat16}


def test_checkpointing_is_for_training_alone():
    assert checkpointed_in(prepared(VIT, settings(checkpoint_activations=True), device="cpu")[0]) == []
    model, _ = prepared(VIT, settings(checkpoint_activations=True), device="cpu", training=True)
    assert checkpointed_in(model) == ["blocks.0", "blocks.1", "blocks.2"]
    model, _ = prepared(RESNET, settings(checkpoint_activations=True), device="cpu", training=True)
    assert checkpointed_in(model) == [f"layer{stage}.{block}" for stage in (1, 2, 3, 4) for block in (0, 1)]


@pytest.mark.parametrize("config", [VIT, DROPPING, RESNET])
def test_a_checkpointed_model_computes_the_same_gradients(config):
    """Also where something is drawn: the second forward pass draws the same again."""
    found = []
    for change in (lambda model: model, checkpoint_activations):
        torch.manual_seed(0)
        model = change(build(config)).train()
        torch.manual_seed(1)
        model(torch.randn(4, 3, 8, 8)).square().sum().backward()
        found.append([p.grad for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.slow
def test_a_checkpointed_vit_keeps_a_blocks_input_and_one_blocks_insides():
    """One block more costs its parameters (with gradient and two moments) and its input, nothing of its insides.

    The peak lies where the first block runs backward, when the inputs of the later ones are gone, or before it.
    """
    peaks = []
    for depth in (3, 6):
        config = ViTConfig(img_size=32, patch_size=4, num_classes=10, embed_dim=48, depth=depth, num_heads=3)
        model, example = modelled(config, settings(checkpoint_activations=True), training=True)
        plain = memory(config, batch_size=64, training=True)
        peaks.append(memory(model, batch_size=64, training=True, example=example))
        assert peaks[-1].activations < plain.activations / 2
        assert peaks[-1].parameters == plain.parameters
    one_input = 64 * 65 * 48 * 4
    assert 0 <= peaks[1].activations - peaks[0].activations <= 3 * one_input


def test_inference_memory_knows_no_checkpointing():
    assert modelled(VIT, settings(checkpoint_activations=True), training=False) == (VIT, None)


def test_a_checkpointed_block_is_the_block_to_whoever_asks():
    block = Checkpointed(nn.Linear(2, 3))
    assert block.out_features == 3
    with pytest.raises(AttributeError, match="no_such"):
        _ = block.no_such


def test_a_model_without_blocks_cannot_be_checkpointed():
    with pytest.raises(UserError, match=r"finds no blocks in Sequential: it needs"):
        checkpoint_activations(nn.Sequential(nn.Linear(2, 3), nn.ReLU()))


def test_a_training_step_trains_every_head():
    """DeiT's model returns two in training; the loss of equal heads is that of one."""

    class Two(nn.Linear):
        def forward(self, x):
            return super().forward(x), super().forward(x)

    torch.manual_seed(0)
    one, two, images = nn.Linear(4, 3), Two(4, 3), torch.randn(2, 4)
    two.load_state_dict(one.state_dict())
    losses = [place("x", Subject(model, images), "train_step", 0)() for model in (one, two)]
    torch.testing.assert_close(*losses)
