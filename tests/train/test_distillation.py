"""Distillation by hand (Touvron et al. 2021, eq. 2 and 3), and from a teacher end to end."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from vitbench.data import load
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.train import TrainConfig
from vitbench.declare.vit import ViTConfig
from vitbench.models import build
from vitbench.models.weights import save_weights
from vitbench.train import train
from vitbench.train.loss import distillation_loss
from vitbench.train.teachers import load_teacher
from vitbench.utils.errors import UserError

VIT = ViTConfig(
    img_size=8, patch_size=4, in_chans=1, num_classes=10, embed_dim=16, depth=1, num_heads=2, init="moco",
    pos_embed_std=0.5,
)  # fmt: skip
RESNET = ResNetConfig(
    depth=None, layers=(1, 1), block="basic", width=8, stem="cifar", img_size=8, in_chans=1, num_classes=10
)
SOFT = TrainConfig(epochs=1, teacher="t", distillation="soft", label_smoothing=0.0)
HARD = dataclasses.replace(SOFT, distillation="hard")

STUDENT = torch.tensor([[0.0, math.log(3)]])  # softmax: 1/4, 3/4
TEACHER = torch.tensor([[math.log(4), 0.0]])  # softmax: 4/5, 1/5
LABELS = torch.tensor([1])


def _kl(p, q):
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def test_the_soft_loss_by_hand():
    """At tau 2 the logits halve: odds of √3 for the student and of 2 for the teacher."""
    student = 1 / (1 + math.sqrt(3)), math.sqrt(3) / (1 + math.sqrt(3))
    config = dataclasses.replace(SOFT, distillation_alpha=0.1, distillation_tau=2.0)
    expected = 0.9 * -math.log(3 / 4) + 0.1 * 2**2 * _kl((2 / 3, 1 / 3), student)
    assert distillation_loss(STUDENT, LABELS, TEACHER, config).item() == pytest.approx(expected, rel=1e-5)


def test_the_soft_loss_is_a_mean_over_the_batch():
    """DeiT's code divides by batch · classes instead, which is this divided by the classes."""
    config = dataclasses.replace(SOFT, distillation_alpha=1.0, distillation_tau=1.0)
    ours = distillation_loss(STUDENT.repeat(5, 1), LABELS.repeat(5), TEACHER.repeat(5, 1), config)
    assert ours.item() == pytest.approx(_kl((0.8, 0.2), (0.25, 0.75)), rel=1e-5)
    deits = functional.kl_div(
        functional.log_softmax(STUDENT, 1), functional.log_softmax(TEACHER, 1), reduction="sum", log_target=True
    ) / STUDENT.numel()  # fmt: skip
    assert ours.item() == pytest.approx(2 * deits.item(), rel=1e-5)


def test_the_hard_loss_by_hand():
    """The teacher names class 0, the label is 1: half of each (eq. 3), without smoothing on the teacher's."""
    assert distillation_loss(STUDENT, LABELS, TEACHER, HARD).item() == pytest.approx(
        0.5 * -math.log(3 / 4) + 0.5 * -math.log(1 / 4), rel=1e-5
    )
    smoothed = dataclasses.replace(HARD, label_smoothing=0.2)
    base = -(0.9 * math.log(3 / 4) + 0.1 * math.log(1 / 4))
    assert distillation_loss(STUDENT, LABELS, TEACHER, smoothed).item() == pytest.approx(
        0.5 * base + 0.5 * -math.log(1 / 4), rel=1e-5
    )


@pytest.mark.parametrize("config", [SOFT, HARD])
def test_of_two_heads_each_has_its_own_teacher(config):
    """The labels move the first head alone, the teacher the second alone."""
    first, second = STUDENT.clone().requires_grad_(), STUDENT.clone().requires_grad_()
    distillation_loss((first, second), LABELS, TEACHER, dataclasses.replace(config, distillation_alpha=0.0)).backward()
    assert first.grad.any()
    assert not second.grad.any()
    first.grad = second.grad = None
    distillation_loss((first, second), LABELS, TEACHER, dataclasses.replace(config, distillation_alpha=1.0)).backward()
    assert not first.grad.any()
    assert second.grad.any()


def test_mixed_labels_reach_the_labels_term_alone():
    mixed = torch.tensor([[0.25, 0.75]])
    expected = 0.5 * -(0.25 * math.log(1 / 4) + 0.75 * math.log(3 / 4)) + 0.5 * -math.log(1 / 4)
    assert distillation_loss(STUDENT, mixed, TEACHER, HARD).item() == pytest.approx(expected, rel=1e-5)


class _Teacher(nn.Module):
    """Knows digits by their ink at one pixel; counts how it is called."""

    def __init__(self, classes=10):
        super().__init__()
        self.classes = classes
        self.weight = nn.Parameter(torch.ones(1))
        self.norm = nn.BatchNorm2d(1)
        self.calls = []

    def forward(self, images):
        self.calls.append((self.training, torch.is_grad_enabled(), len(images)))
        logits = torch.zeros(len(images), self.classes)
        logits[:, 3] = 20.0
        return self.norm(images).mean() * 0 + logits * self.weight


@pytest.mark.parametrize("distillation", ["soft", "hard"])
def test_a_student_takes_over_what_its_teacher_says_even_if_it_is_nonsense(distillation):
    teacher = _Teacher()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    config = dataclasses.replace(SOFT, epochs=2, distillation=distillation, distillation_alpha=1.0)
    result = train(VIT, config, load("digits"), seed=0, teacher=teacher.train())
    assert (result.predictions == 3).mean() > 0.95
    assert {call[:2] for call in teacher.calls} == {(False, False)}
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    assert teacher.weight.grad is None


def test_the_distillation_head_learns_from_the_teacher_and_the_other_from_the_labels():
    student = dataclasses.replace(VIT, distilled=True)
    config = dataclasses.replace(HARD, epochs=4, lr=4e-3)
    digits = load("digits")
    model = train(student, config, digits, seed=0, teacher=_Teacher()).model.train()
    with torch.no_grad():
        first, second = model((digits.test.images.float() - digits.mean[0]) / digits.std[0])
    assert (second.argmax(1) == 3).double().mean() > 0.99
    assert (first.argmax(1) == digits.test.labels).double().mean() > 0.35


def test_accumulation_distils_as_the_whole_batch():
    digits = load("digits")
    config = dataclasses.replace(SOFT, batch_size=64)
    torch.manual_seed(1)
    teacher = build(RESNET)
    one = train(VIT, config, digits, seed=0, teacher=teacher)
    other = train(VIT, dataclasses.replace(config, batch_size=32, accumulate=2), digits, seed=0, teacher=teacher)
    assert other.curve[0].train_loss == pytest.approx(one.curve[0].train_loss, rel=1e-4)


def test_a_teacher_and_a_recipe_go_together():
    digits = load("digits")
    with pytest.raises(UserError, match="distillation=soft needs a teacher"):
        train(VIT, SOFT, digits, seed=0)
    with pytest.raises(UserError, match="distillation=none does not use a teacher"):
        train(VIT, TrainConfig(epochs=1), digits, seed=0, teacher=_Teacher())
    with pytest.raises(UserError, match=r"the teacher outputs \(32, 7\) .* the model \(32, 10\)"):
        train(VIT, SOFT, digits, seed=0, teacher=_Teacher(7))


def _saved(config, path, seed=0):
    torch.manual_seed(seed)
    model = build(config).eval()
    save_weights(model, path)
    return model


@pytest.mark.parametrize("config", [VIT, RESNET])
def test_a_file_teaches(tmp_path, config):
    model = _saved(config, tmp_path / "t.safetensors")
    spec = load("digits").spec
    images = torch.randn(3, 1, 8, 8)
    found = load_teacher(str(tmp_path / "t.safetensors"), spec)
    assert not found.training
    torch.testing.assert_close(found(images), model(images))
    found = load_teacher("variant:b", spec, weights=tmp_path / "t.safetensors", config=config)
    torch.testing.assert_close(found(images), model(images))


def test_a_name_of_the_zoo_says_whose_file_it_is(tmp_path):
    """A plain state dict of a ResNet shows neither; its image size does not matter."""
    spec = load("digits").spec
    path = tmp_path / "r.pth"
    torch.manual_seed(0)
    model = build(ResNetConfig(depth=18, stem="cifar", img_size=8, in_chans=1, num_classes=10)).eval()
    torch.save(model.state_dict(), path)
    images = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(load_teacher(f"resnet18:{path}", spec)(images), model(images))


def test_a_teacher_that_cannot_be_is_refused(tmp_path):
    spec = load("digits").spec
    with pytest.raises(UserError, match=r"resnet18 is a model without weights: .*resnet18:FILE"):
        load_teacher("resnet18", spec)
    with pytest.raises(UserError, match="a row of an ablation"):
        load_teacher("variant:resnet", spec)
    with pytest.raises(UserError, match="there is no checkpoint"):
        load_teacher(str(tmp_path / "none.pth"), spec)
    for changed, words in (
        ({"num_classes": 7}, "for 7 classes and digits has 10"),
        ({"in_chans": 3}, "for 3 channels and digits has 1"),
        ({"img_size": 16}, "for 16 pixels and digits has 8"),
    ):
        _saved(dataclasses.replace(VIT, **changed), tmp_path / "t.safetensors")
        with pytest.raises(UserError, match=words):
            load_teacher(str(tmp_path / "t.safetensors"), spec)
    _saved(dataclasses.replace(RESNET, img_size=32), tmp_path / "t.safetensors")
    load_teacher(str(tmp_path / "t.safetensors"), spec)
