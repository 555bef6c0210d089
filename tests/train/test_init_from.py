"""Fine-tuning starts from the file: weights, positions of another resolution, a head of other classes."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from vitbench.data import load
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.train import TrainConfig
from vitbench.declare.vit import ViTConfig
from vitbench.models import build
from vitbench.models.weights import load_weights, save_weights
from vitbench.train import loop, train
from vitbench.utils.errors import UserError

VIT = ViTConfig(
    img_size=8, patch_size=4, in_chans=1, num_classes=10, embed_dim=16, depth=2, num_heads=2, init="moco",
    pos_embed_std=0.5,
)  # fmt: skip
RESNET = ResNetConfig(
    depth=None, layers=(1, 1), block="basic", width=8, stem="cifar", img_size=8, in_chans=1, num_classes=10
)


def _file(config, tmp_path):
    torch.manual_seed(99)
    path = tmp_path / "start.safetensors"
    model = build(config)
    save_weights(model, path)
    return str(path), model


def _start(monkeypatch, config, **settings):
    """The weights that training starts from, and the result."""
    began = {}
    real = loop.Step

    class Spy(real):
        def __call__(self, *args):
            if not began:
                began.update({name: value.clone() for name, value in self.forward.state_dict().items()})
            return super().__call__(*args)

    monkeypatch.setattr(loop, "Step", Spy)
    result = train(config, TrainConfig(epochs=1, **settings), load("digits"), seed=0)
    return began, result


@pytest.mark.parametrize("config", [VIT, RESNET, dataclasses.replace(VIT, distilled=True, num_registers=2)])
def test_training_starts_from_the_weights_of_the_file(monkeypatch, tmp_path, config):
    path, model = _file(config, tmp_path)
    began, result = _start(monkeypatch, config, init_from=path)
    for name, value in model.state_dict().items():
        assert torch.equal(began[name], value), name
    assert set(result.loaded.loaded) == set(model.state_dict())
    assert not torch.equal(result.model.state_dict()[next(iter(began))], began[next(iter(began))])


def test_a_head_of_other_classes_stays_new_and_is_said(monkeypatch, tmp_path):
    path, model = _file(dataclasses.replace(VIT, num_classes=4), tmp_path)
    began, result = _start(monkeypatch, VIT, init_from=path)
    scratch, _ = _start(monkeypatch, VIT)
    assert torch.equal(began["head.weight"], scratch["head.weight"])  # paired by seed with training from scratch
    assert torch.equal(began["norm.weight"], model.norm.weight)
    assert "the file has 4 classes, the model 10" in str(result.loaded)


def test_positions_are_resized_and_tokens_kept(monkeypatch, tmp_path):
    path, model = _file(dataclasses.replace(VIT, img_size=16), tmp_path)
    began, result = _start(monkeypatch, VIT, init_from=path)
    expected = build(VIT)
    load_weights(expected, path)
    assert torch.equal(began["pos_embed"], expected.pos_embed)
    assert torch.equal(began["pos_embed"][:, 0], model.pos_embed[:, 0])
    assert torch.equal(began["cls_token"], model.cls_token)
    assert "4×4 → 2×2" in result.loaded.resized["pos_embed"]


def test_another_architecture_is_refused_in_the_words_of_the_weights_room(tmp_path):
    path, _ = _file(RESNET, tmp_path)
    with pytest.raises(UserError) as ours:
        train(VIT, TrainConfig(init_from=path), load("digits"), seed=0)
    with pytest.raises(UserError) as theirs:
        load_weights(build(VIT), path, replace_head=True)
    assert str(ours.value) == str(theirs.value)
    assert "does not fit the model" in str(ours.value)
    with pytest.raises(UserError, match="there is no checkpoint"):
        train(VIT, TrainConfig(init_from=str(tmp_path / "none.pth")), load("digits"), seed=0)


def test_layer_decay_leaves_what_is_far_below_nearly_as_it_was(monkeypatch, tmp_path):
    path, model = _file(VIT, tmp_path)
    _, result = _start(monkeypatch, VIT, init_from=path, layer_decay=0.01, weight_decay=0.0)
    moved = {
        name: (value - model.state_dict()[name]).norm().item() / value.norm().item()
        for name, value in result.model.state_dict().items()
    }
    assert moved["head.weight"] > 30 * moved["blocks.0.attn.qkv.weight"]
    assert moved["blocks.1.mlp.fc2.weight"] > 10 * moved["patch_embed.proj.weight"]


def test_fine_tuning_begins_where_the_file_stopped(tmp_path):
    digits = load("digits")
    first = train(VIT, TrainConfig(epochs=3, lr=4e-3), digits, seed=0)
    path = tmp_path / "trained.safetensors"
    save_weights(first.model, path)
    again = train(VIT, TrainConfig(epochs=1, lr=1e-5, init_from=str(path)), digits, seed=1)
    assert again.curve[0].val_loss == pytest.approx(first.curve[-1].val_loss, abs=0.02)
