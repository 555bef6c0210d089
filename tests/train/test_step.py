"""A step over parts is the step over the whole; formats, compilation and optimisers do what they say."""

from __future__ import annotations

import copy
import dataclasses
import shutil
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

from vitbench.data import load
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.train import TrainConfig
from vitbench.declare.vit import ViTConfig
from vitbench.models import build
from vitbench.train import train
from vitbench.train.ema import RunningMean
from vitbench.train.step import Step
from vitbench.utils.errors import UserError

VIT = ViTConfig(
    img_size=8, patch_size=4, in_chans=1, num_classes=10, embed_dim=16, depth=2, num_heads=2, init="moco",
    pos_embed_std=0.5,
)  # fmt: skip
RESNET = ResNetConfig(
    depth=None, layers=(1, 1), block="basic", width=8, stem="cifar", img_size=8, in_chans=1, num_classes=10
)
IMAGES = torch.randn(12, 1, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(12) % 10
SOFT = torch.softmax(torch.randn(12, 10, generator=torch.Generator().manual_seed(1)), 1)


def _model(config=VIT):
    torch.manual_seed(0)
    return build(config)


def _stepped(config, targets=LABELS, images=IMAGES, model=None):
    """Gradients that the optimiser saw, and the loss."""
    model = model or _model()
    step, seen = Step(model, config, "cpu"), []
    step.optimizer.register_step_pre_hook(
        lambda *_: seen.extend(p.grad.clone() for p in model.parameters() if p.grad is not None)
    )
    return step(images, targets, 0.01), seen, model


@pytest.mark.parametrize("targets", [LABELS, SOFT])
@pytest.mark.parametrize(("parts", "size"), [(3, 4), (2, 6), (4, 3), (3, 5)])
def test_accumulated_gradients_are_those_of_the_whole_batch(parts, size, targets):
    """The last of them also with a short last part: 5 + 5 + 2."""
    config = TrainConfig(batch_size=12, clip_grad_norm=0.5)
    loss, whole, _ = _stepped(config, targets)
    summed, parted, _ = _stepped(dataclasses.replace(config, batch_size=size, accumulate=parts), targets)
    torch.testing.assert_close(summed, loss)
    for one, other in zip(parted, whole, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_a_run_with_accumulation_is_the_run_with_the_larger_batch():
    digits = load("digits")
    config = TrainConfig(epochs=1, batch_size=64, mixup=0.4, cutmix=1.0, erase=0.3)
    one = train(VIT, config, digits, seed=0)
    other = train(VIT, dataclasses.replace(config, batch_size=16, accumulate=4), digits, seed=0)
    assert one.steps == other.steps
    assert other.curve[0].train_loss == pytest.approx(one.curve[0].train_loss, rel=1e-4)
    assert other.curve[0].val_loss == pytest.approx(one.curve[0].val_loss, rel=1e-3)


def test_soft_targets_are_the_mixture_of_the_losses():
    model = _model().eval()
    hot = functional.one_hot(LABELS, 10).float()
    soft = 0.3 * hot + 0.7 * hot.flip(0)
    logits = model(IMAGES)
    both = [functional.cross_entropy(logits, y, label_smoothing=0.1) for y in (LABELS, LABELS.flip(0))]
    loss, _, _ = _stepped(TrainConfig(label_smoothing=0.1), soft)
    torch.testing.assert_close(loss, 0.3 * both[0].detach() + 0.7 * both[1].detach())


def test_sgd_is_nesterovs_closed_form():
    """v ← m v + g; w ← w - lr (g + m v); the decay is added to g, and only where there is decay."""
    model = nn.Linear(1, 1)
    nn.init.constant_(model.weight, 2.0)
    nn.init.constant_(model.bias, 0.0)
    config = TrainConfig(optimizer="sgd", momentum=0.9, weight_decay=0.5, clip_grad_norm=0)
    step = Step(model, config, "cpu")
    weight, velocity = 2.0, 0.0
    for number in range(3):
        (model(torch.tensor([[0.7]])) * 2).sum().backward()  # the gradient of the weight is 1.4
        gradient = 1.4 + 0.5 * weight
        velocity = 0.9 * velocity + gradient if number else gradient
        weight -= 0.1 * (gradient + 0.9 * velocity)
        for group in step.optimizer.param_groups:
            group["lr"] = 0.1
        step.optimizer.step()
        step.optimizer.zero_grad()
        assert model.weight.item() == pytest.approx(weight, rel=1e-6)


@pytest.mark.parametrize("settings", [{"optimizer": "sgd", "lr": 0.1}, {"optimizer": "adam", "lr": 4e-3}])
def test_the_other_optimisers_learn(settings):
    result = train(RESNET, TrainConfig(epochs=4, weight_decay=1e-4, **settings), load("digits"), seed=0)
    assert result.accuracy > 0.5


def test_without_momentum_sgd_is_plain():
    step = Step(nn.Linear(2, 2), TrainConfig(optimizer="sgd", momentum=0.0), "cpu")
    assert step.optimizer.defaults["nesterov"] is False


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_adams_decay_is_in_the_gradient_and_adamws_is_not(optimizer):
    """A gradient of 0: adamw shrinks the weight by lr · decay, adam by lr, sgd by lr · decay · weight."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 2.0)
    config = TrainConfig(optimizer=optimizer, momentum=0.0, weight_decay=0.5, clip_grad_norm=0)
    step = Step(model, config, "cpu")
    for group in step.optimizer.param_groups:
        group["lr"] = 0.1
    model.weight.grad = torch.zeros(1, 1)
    step.optimizer.step()
    expected = {"adamw": 2 - 0.1 * 0.5 * 2, "adam": 2 - 0.1, "sgd": 2 - 0.1 * 0.5 * 2}
    assert model.weight.item() == pytest.approx(expected[optimizer], rel=1e-5)


def test_the_running_mean_is_its_recursion():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    mean = RunningMean(model, 0.8)
    expected = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(4):
        model(torch.randn(6, 3)).square().sum().backward()
        optimizer.step()
        mean.update()
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                expected[name] = 0.8 * expected[name] + 0.2 * value
            else:
                expected[name] = value.clone()
    for name, value in mean.model.state_dict().items():
        torch.testing.assert_close(value, expected[name])
    assert not any(p.requires_grad for p in mean.model.parameters())


def test_the_running_mean_is_what_is_evaluated_and_training_goes_on_without_it():
    digits = load("digits")
    plain = train(VIT, TrainConfig(epochs=2), digits, seed=0)
    averaged = train(VIT, TrainConfig(epochs=2, ema=0.9), digits, seed=0)
    assert [e.train_loss for e in averaged.curve] == [e.train_loss for e in plain.curve]
    assert averaged.curve[-1].val_loss != plain.curve[-1].val_loss
    assert not torch.equal(averaged.model.head.weight, plain.model.head.weight)
    with torch.no_grad():
        logits = averaged.model.eval()((digits.test.images.float() - digits.mean[0]) / digits.std[0])
    assert (logits.argmax(1).numpy() == averaged.predictions).all()


def test_float16_learns_as_float32():
    config = TrainConfig(epochs=2, lr=4e-3)
    digits = load("digits")
    exact = train(VIT, config, digits, seed=0).curve[-1].train_loss
    rounded = train(VIT, dataclasses.replace(config, precision="float16"), digits, seed=0).curve[-1].train_loss
    assert exact != rounded
    assert rounded == pytest.approx(exact, abs=0.1)


def test_float16_clips_gradients_without_their_scale():
    """A gradient near float16's largest number is halved until it fits, and no step is taken meanwhile."""
    model = _model()
    step = Step(model, TrainConfig(precision="float16", clip_grad_norm=1e-6), "cpu")
    before = copy.deepcopy(model.state_dict())
    seen = []
    step.optimizer.register_step_pre_hook(
        lambda *_: seen.append(torch.stack([p.grad.norm() for p in model.parameters() if p.grad is not None]).norm())
    )
    for _ in range(12):
        loss = step(IMAGES, LABELS, 1e-3)
        assert torch.isfinite(loss)
    assert seen
    assert all(norm.item() <= 1.01e-6 for norm in seen)
    assert any(not torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_missing_compiler_is_said_before_anything_is_trained(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UserError, match=r"compile=True needs a C\+\+ compiler"):
        train(VIT, TrainConfig(compile=True), load("digits"), seed=0)


COMPILED = """
import dataclasses
from vitbench import ResNetConfig, TrainConfig, ViTConfig
from vitbench.data import load
from vitbench.train import train
vit = ViTConfig(img_size=8, patch_size=4, in_chans=1, num_classes=10, embed_dim=16, depth=1, num_heads=2)
plain, compiled = (train(vit, TrainConfig(epochs=1, compile=on), load("digits"), seed=0) for on in (False, True))
assert compiled.model.state_dict().keys() == plain.model.state_dict().keys()
print(plain.curve[0].train_loss, compiled.curve[0].train_loss, compiled.curve[0].seconds / plain.curve[0].seconds)
"""


@pytest.mark.nightly("compiled")
def test_compiled_training_is_the_uncompiled_to_rounding():
    """In a process of its own: the checks of shapes that tests switch on cannot be compiled."""
    if not shutil.which("g++"):
        pytest.skip("needs g++")
    done = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    plain, compiled, longer = map(float, done.stdout.split())
    assert compiled == pytest.approx(plain, rel=1e-3)
    assert longer > 1.5  # it was compiled
