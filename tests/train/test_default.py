"""The default recipe trains as it did before there was any other: recorded numbers, and a plain loop."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from vitbench.data import Dataset, load
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.train import TrainConfig
from vitbench.declare.vit import ViTConfig
from vitbench.models import build
from vitbench.train import train

VIT = ViTConfig(
    img_size=8, patch_size=4, in_chans=1, num_classes=10, embed_dim=16, depth=2, num_heads=2, init="moco",
    pos_embed_std=0.5, drop_rate=0.1, drop_path_rate=0.1,
)  # fmt: skip
RESNET = ResNetConfig(
    depth=None, layers=(1,), block="basic", width=16, stem="cifar", img_size=8, in_chans=1, num_classes=10
)

RECORDED = {
    "vit": {
        "train_loss": [2.2514932011113022, 1.6577358859958071, 1.5257656249133023],
        "val_loss": [1.5976496934890747, 1.3269882202148438, 1.3022866249084473],
        "correct": 237,
        "predictions": [
            0,
            8,
            3,
            3,
            7,
            4,
            4,
            5,
            8,
            4,
            4,
            2,
            3,
            6,
            4,
            0,
            3,
            0,
            1,
            6,
            7,
            4,
            4,
            4,
            5,
            7,
            4,
            3,
            6,
            0,
            3,
            4,
            4,
            7,
            6,
            7,
            5,
            7,
            3,
            5,
        ],
    },
    "resnet": {
        "train_loss": [2.287560780843099, 2.075488310871702, 1.9885066241929026],
        "val_loss": [2.1783928871154785, 2.010866403579712, 1.9777225255966187],
        "correct": 208,
        "predictions": [
            0,
            1,
            3,
            5,
            5,
            1,
            4,
            5,
            1,
            5,
            1,
            3,
            1,
            6,
            6,
            0,
            5,
            0,
            1,
            1,
            1,
            4,
            5,
            5,
            5,
            5,
            4,
            9,
            6,
            0,
            3,
            5,
            7,
            1,
            6,
            7,
            5,
            5,
            3,
            5,
        ],
    },
    "vit shifted": {
        "train_loss": [2.5345662321363176, 2.286737600962321],
        "val_loss": [2.146890163421631, 2.1063380241394043],
        "correct": 107,
        "predictions": [
            0,
            8,
            3,
            4,
            6,
            4,
            4,
            3,
            8,
            4,
            4,
            1,
            3,
            1,
            4,
            4,
            4,
            3,
            4,
            1,
            4,
            4,
            4,
            4,
            7,
            7,
            4,
            3,
            6,
            0,
            4,
            4,
            4,
            6,
            1,
            6,
            8,
            7,
            3,
            3,
        ],
    },
}
"""Seed 3, one thread, at commit f15c655: train and validation loss per epoch, right answers of 360, the first 40."""


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


@pytest.mark.parametrize(
    ("name", "model", "config"),
    [
        ("vit", VIT, TrainConfig(epochs=3)),
        ("resnet", RESNET, TrainConfig(epochs=3)),
        ("vit shifted", VIT, TrainConfig(epochs=2, shift_px=1, batch_size=50)),
    ],
)
def test_the_default_recipe_gives_the_recorded_numbers(digits, name, model, config):
    """To five digits: another processor rounds otherwise. On one processor see the test below."""
    result, expected = train(model, config, digits, seed=3), RECORDED[name]
    assert [point.train_loss for point in result.curve] == pytest.approx(expected["train_loss"], rel=1e-5)
    assert [point.val_loss for point in result.curve] == pytest.approx(expected["val_loss"], rel=1e-5)
    assert abs(int(result.correct.sum()) - expected["correct"]) <= 1
    assert np.mean(result.predictions[:40] == expected["predictions"]) >= 0.97


def _plainly(model_config, config: TrainConfig, data: Dataset, seed: int) -> tuple[list[float], nn.Module]:
    """The whole run written out: no room of this package but the models, the data and the recipe's numbers."""

    def stream(name):
        return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8]) >> 1

    torch.manual_seed(stream("weights"))
    model = build(model_config)
    torch.manual_seed(stream("dropout"))
    order, draws = (torch.Generator().manual_seed(stream(name)) for name in ("order", "augmentation"))
    px, flip = config.shift_px, config.flip and data.spec.flip
    images, labels, count = data.train.images, data.train.labels, len(data.train)
    per_epoch = count // config.batch_size
    steps, warmup = per_epoch * config.epochs, round(config.warmup_fraction * per_epoch * config.epochs)
    spared = model.no_weight_decay()
    named = list(model.named_parameters())
    groups = [
        {"params": [p for n, p in named if p.ndim > 1 and n not in spared], "weight_decay": config.weight_decay},
        {"params": [p for n, p in named if p.ndim <= 1 or n in spared], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, fused=True)
    losses, step = [], 0
    for _ in range(config.epochs):
        model.train()
        rows = torch.randperm(count, generator=order)[: per_epoch * config.batch_size]
        shifts = torch.randint(-px, px + 1, (count, 2), generator=draws)
        flips = (torch.rand(count, generator=draws) < 0.5) & flip
        for batch in torch.split(rows, config.batch_size):
            seen = torch.empty(len(batch), *images.shape[1:], dtype=images.dtype)
            for i, row in enumerate(batch.tolist()):
                big = functional.pad(images[row], (px,) * 4)
                down, right = (px - shifts[row]).tolist()
                part = big[:, down : down + images.shape[2], right : right + images.shape[3]]
                seen[i] = part.flip(2) if flips[row] else part
            x = (seen.float() - data.mean[:, None, None]) / data.std[:, None, None]
            if step < warmup:
                rate = config.lr * (step + 1) / (warmup + 1)
            else:
                rate = config.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))
            for group in optimizer.param_groups:
                group["lr"] = rate
            loss = functional.cross_entropy(model(x), labels[batch], label_smoothing=config.label_smoothing)
            loss.backward()
            nn.utils.clip_grad_norm_(list(model.parameters()), config.clip_grad_norm, foreach=True)
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
            step += 1
    return losses, model.eval()


@pytest.mark.parametrize("model", [VIT, RESNET])
def test_the_default_recipe_is_a_plain_loop_to_the_last_bit(digits, model):
    config = TrainConfig(epochs=2, shift_px=1)
    losses, plain = _plainly(model, config, digits, seed=5)
    result = train(model, config, digits, seed=5)
    for name, value in result.model.state_dict().items():
        assert torch.equal(value, plain.state_dict()[name]), name
    per_epoch = len(losses) // 2
    means = [sum(losses[i * per_epoch : (i + 1) * per_epoch]) / per_epoch for i in range(2)]
    assert [point.train_loss for point in result.curve] == means
    with torch.inference_mode():
        logits = plain((digits.test.images.float() - digits.mean[0]) / digits.std[0])
    assert (result.logits == logits.numpy()).all()
