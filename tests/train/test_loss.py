"""The loss of several heads is the mean of theirs."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from vitbench.declare.vit import ViTConfig
from vitbench.measure import memory
from vitbench.measure.timing.subject import Subject, place
from vitbench.models import build
from vitbench.train.loss import cross_entropy


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_several_heads_share_the_labels(smoothing):
    torch.manual_seed(0)
    first, second, labels = torch.randn(5, 3), torch.randn(5, 3), torch.randint(3, (5,))
    one, two = (functional.cross_entropy(head, labels, label_smoothing=smoothing) for head in (first, second))
    torch.testing.assert_close(cross_entropy((first, second), labels, smoothing), (one + two) / 2)
    assert torch.equal(cross_entropy(first, labels, smoothing), one)


def test_a_distilled_transformer_trains_both_heads():
    torch.manual_seed(0)
    model = build(ViTConfig(img_size=4, patch_size=2, embed_dim=8, depth=1, num_heads=2, num_classes=3, distilled=True))
    cross_entropy(model(torch.randn(2, 3, 4, 4)), torch.tensor([0, 2])).backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_a_timed_training_step_takes_both_heads():
    config = ViTConfig(img_size=4, patch_size=2, embed_dim=8, depth=1, num_heads=2, num_classes=3, distilled=True)
    torch.manual_seed(0)
    subject = Subject(build(config), torch.randn(2, 3, 4, 4))
    step = place("distilled", subject, "train_step", 0)
    first, later = step(), [step() for _ in range(50)][-1]
    assert later < first
    assert memory(config, 2, training=True).gradients > 0
