from __future__ import annotations

import copy
import dataclasses
import pickle

import numpy as np
import pytest
import torch
from torch.nn import functional

from vitbench.data import Dataset, load
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.train import TrainConfig
from vitbench.declare.vit import ViTConfig
from vitbench.models import build
from vitbench.train import Diverged, batch_loader, loop, train

VIT = ViTConfig(
    img_size=8, patch_size=4, in_chans=1, num_classes=10, embed_dim=16, depth=2, num_heads=2, init="moco",
    pos_embed_std=0.5,
)  # fmt: skip
RESNET = ResNetConfig(
    depth=None, layers=(1,), block="basic", width=4, stem="cifar", img_size=8, in_chans=1, num_classes=10
)
BRIEF = TrainConfig(epochs=2)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


def _weights(result) -> dict[str, torch.Tensor]:
    return result.model.state_dict()


@pytest.mark.parametrize("model", [VIT, dataclasses.replace(VIT, drop_rate=0.1, drop_path_rate=0.1), RESNET])
def test_the_same_seed_gives_the_same_result_to_the_last_digit(digits, model):
    first, second = (train(model, BRIEF, digits, seed=3) for _ in range(2))
    for name, value in _weights(first).items():
        assert torch.equal(value, _weights(second)[name]), name
    assert (first.predictions == second.predictions).all()
    assert [dataclasses.replace(e, seconds=0, wait_s=0) for e in first.curve] == [
        dataclasses.replace(e, seconds=0, wait_s=0) for e in second.curve
    ]


def test_another_seed_gives_another_result(digits):
    assert not torch.equal(*(_weights(train(VIT, BRIEF, digits, seed=s))["head.weight"] for s in (1, 2)))


def test_it_learns(digits):
    result = train(VIT, TrainConfig(epochs=8, batch_size=32, lr=4e-3), digits, seed=0)
    assert result.accuracy > 0.6
    assert result.curve[-1].train_loss < result.curve[0].train_loss


def _batches(monkeypatch, digits, model, config, seed=5):
    """What a training run feeds its model, and the weights that it starts from."""
    fed, start = [], {}

    def spy(model_config):
        module = build(model_config)
        start.update(copy.deepcopy(module.state_dict()))
        module.register_forward_pre_hook(lambda m, args: fed.append(args[0].clone()) if m.training else None)
        return module

    monkeypatch.setattr(loop, "build", spy)
    train(model, config, digits, seed=seed)
    return fed, start


def test_seeds_pair_order_and_augmentation_whatever_else_a_variant_draws(monkeypatch, digits):
    plain, _ = _batches(monkeypatch, digits, VIT, BRIEF)
    for other in (RESNET, dataclasses.replace(VIT, drop_rate=0.2, drop_path_rate=0.2, depth=3)):
        fed, _ = _batches(monkeypatch, digits, other, BRIEF)
        assert len(fed) == len(plain)
        assert all(torch.equal(a, b) for a, b in zip(fed, plain, strict=True))


def test_seeds_pair_initial_weights_across_recipes(monkeypatch, digits):
    _, first = _batches(monkeypatch, digits, VIT, BRIEF)
    _, second = _batches(monkeypatch, digits, VIT, TrainConfig(epochs=1, batch_size=100, shift_px=0))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_every_epoch_sees_each_image_at_most_once_and_drops_only_an_incomplete_batch(monkeypatch, digits):
    fed, _ = _batches(monkeypatch, digits, VIT, TrainConfig(epochs=2, batch_size=50, shift_px=0))
    assert [len(x) for x in fed] == [50] * (2 * (1077 // 50))
    raw = (torch.cat(fed[:21]) * digits.std + digits.mean).round().byte()
    available = [image.numpy().tobytes() for image in digits.train.images]
    shown = [image.numpy().tobytes() for image in raw]
    assert set(shown) <= set(available)
    assert len(set(shown)) == 1050
    assert not torch.equal(fed[0], fed[21])


def test_shifts_bring_in_the_background(monkeypatch, digits):
    fed, _ = _batches(monkeypatch, digits, VIT, TrainConfig(epochs=1, shift_px=7))
    lowest = ((0 - digits.mean) / digits.std).item()
    assert torch.cat(fed).min().item() == pytest.approx(lowest)
    assert (torch.cat(fed) == torch.tensor(lowest)).double().mean() > 0.6


def test_data_that_do_not_allow_shift_and_flip_are_left_alone(monkeypatch):
    quadrant = load("quadrant")
    config = dataclasses.replace(VIT, img_size=16, patch_size=8, num_classes=4)
    fed, _ = _batches(monkeypatch, quadrant, config, TrainConfig(epochs=1, shift_px=3, flip=True))
    raw = (torch.cat(fed) * quadrant.std + quadrant.mean).round().byte()
    known = {image.numpy().tobytes() for image in quadrant.train.images}
    assert {image.numpy().tobytes() for image in raw} <= known


def test_chunks_of_augmentation_do_not_change_the_result(monkeypatch, digits):
    whole = train(VIT, BRIEF, digits, seed=1)
    for limit, size in (("AUGMENT_AT_ONCE", 130), ("VALUES_AT_ONCE", 130 * 64)):
        monkeypatch.setattr(batch_loader, limit, size)
        again = train(VIT, BRIEF, digits, seed=1)
        assert torch.equal(_weights(whole)["head.weight"], _weights(again)["head.weight"])
        monkeypatch.undo()


def test_result_against_the_returned_model(digits):
    seen = []
    result = train(VIT, BRIEF, digits, seed=0, on_epoch=seen.append)
    assert tuple(seen) == result.curve
    assert [point.epoch for point in seen] == [1, 2]
    assert 0 < seen[0].seconds < seen[1].seconds
    assert result.steps == 2 * (1077 // BRIEF.batch_size)
    with torch.no_grad():
        test, val = (
            result.model.eval()((split.images.float() - digits.mean[0]) / digits.std[0])
            for split in (digits.test, digits.val)
        )
    assert (result.predictions == test.argmax(1).numpy()).all()
    assert (result.logits.shape, result.logits.dtype) == ((len(digits.test), 10), np.float32)
    assert (result.logits.argmax(1) == result.predictions).all()
    assert 0 < seen[0].wait_s < seen[1].wait_s < seen[1].seconds
    assert result.accuracy == np.mean(result.predictions == digits.test.labels.numpy())
    assert seen[-1].val_accuracy == (val.argmax(1) == digits.val.labels).double().mean().item()
    loss = functional.cross_entropy(val, digits.val.labels, label_smoothing=BRIEF.label_smoothing)
    assert seen[-1].val_loss == pytest.approx(loss.item(), rel=1e-5)


def test_the_test_split_has_no_say_in_training(digits):
    """Other test labels and images: not one weight moves."""
    other = dataclasses.replace(digits, test=dataclasses.replace(digits.test, images=digits.test.images.flip(0)))
    one, two = (_weights(train(VIT, BRIEF, data, seed=0)) for data in (digits, other))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_divergence_is_an_error_with_its_place(digits):
    with pytest.raises(Diverged, match=r"not finite in epoch 1, step \d+: try a lower lr") as caught:
        train(VIT, TrainConfig(epochs=1, lr=1e30, clip_grad_norm=0.0), digits, seed=0)
    assert caught.value.epoch == 1
    assert 1 < caught.value.step <= 1077 // BRIEF.batch_size
    sent = pickle.loads(pickle.dumps(caught.value))
    assert (sent.epoch, sent.step, str(sent)) == (1, caught.value.step, str(caught.value))


def test_bfloat16_is_near_float32(digits):
    config = TrainConfig(epochs=4, batch_size=32, lr=4e-3)
    exact, rounded = (
        train(VIT, dataclasses.replace(config, precision=precision), digits, seed=0).curve[-1].train_loss
        for precision in ("float32", "bfloat16")
    )
    assert exact != rounded
    assert rounded == pytest.approx(exact, abs=0.1)


def test_fewer_images_than_a_batch(digits):
    few = dataclasses.replace(digits, train=loop.Split(digits.train.images[:20], digits.train.labels[:20]))
    assert train(VIT, BRIEF, few, seed=0).steps == 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("settings", [{}, {"precision": "float16", "rand_augment": 1, "erase": 0.1, "ema": 0.9}])
def test_cuda_trains_in_short_formats_from_the_same_start(digits, settings):
    config = TrainConfig(epochs=8, batch_size=32, lr=4e-3, **settings)
    result = train(VIT, config, digits, seed=0, device="cuda")
    assert result.accuracy > 0.6
