"""Bytes moved, against counts by hand and against what must hold of any model."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.support.examples import scaled
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.vit import ViTConfig
from vitbench.measure.roofline.memory_traffic import Traffic, TrafficCounter, size, traffic
from vitbench.utils.errors import UserError

F32 = 4


def numbers(**of):
    """Bytes in float32 of so many numbers."""
    return F32 * sum(of.values())


class Residual(nn.Module):
    def forward(self, x):
        return x + torch.relu(x)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(3, 3, bias=False)
        self.b = nn.Linear(3, 3, bias=False)
        self.b.weight = self.a.weight
        self.never = nn.Linear(100, 100)

    def forward(self, x):
        return self.b(self.a(x))


BY_HAND = [
    # module, a row of its input; bytes of 4 rows: unfused, compulsory
    (nn.Linear(3, 2, bias=False), (3,), numbers(x=12, w=6, y=8), numbers(x=12, w=6, y=8)),
    (nn.Linear(3, 2), (3,), numbers(x=12, w=6, b=2, y=8), numbers(x=12, w=6, b=2, y=8)),
    (nn.ReLU(), (5,), numbers(x=20, y=20), numbers(x=20, y=20)),
    (nn.ReLU(inplace=True), (5,), numbers(read=20, written=20), numbers(x=20)),  # the output is the input
    (nn.Flatten(), (5, 2), 0, numbers(x=40, y=0)),  # a view moves nothing, and ends where it began
    (nn.Dropout(), (5,), 0, numbers(x=20)),  # the identity in evaluation
    (nn.LayerNorm(6), (6,), numbers(x=24, w=6, b=6, y=24, mean=4, rstd=4), numbers(x=24, w=6, b=6, y=24)),
    (Residual(), (5,), numbers(x=20, relu=20, both=40, y=20), numbers(x=20, y=20)),
    (Tied(), (3,), 2 * numbers(x=12, w=9, y=12), numbers(x=12, w=9, y=12)),
    (nn.Conv2d(2, 3, 3, padding=1), (2, 5, 5), numbers(x=200, w=54, b=3, y=300), numbers(x=200, w=54, b=3, y=300)),
]


@pytest.mark.parametrize(("module", "row", "unfused", "compulsory"), BY_HAND, ids=lambda v: type(v).__name__)
def test_by_hand(module, row, unfused, compulsory):
    found = traffic(module, 4, torch.zeros(1, *row))
    if isinstance(module, nn.Flatten):
        compulsory *= 2  # input and output are told apart by their shapes
    assert (found.unfused, found.compulsory) == (unfused, compulsory)


def test_attention_in_one_kernel_does_not_move_its_matrix():
    """Queries, keys, values and output of 2 heads × 5 tokens × 4, and a sum a row: never 5 × 5."""

    class Attention(nn.Module):
        def forward(self, q, k, v):
            return nn.functional.scaled_dot_product_attention(q, k, v)

    tensors = tuple(torch.zeros(1, 2, 5, 4) for _ in range(3))
    found = traffic(Attention(), 3, tensors)
    assert found.unfused == 3 * F32 * (4 * 40 + 2 * 5)
    assert found.compulsory == 3 * F32 * 4 * 40


def test_what_is_repeated_by_expand_lies_in_memory_once():
    assert size(torch.zeros(1, 4).expand(100, 4)) == 16
    assert size(torch.zeros(0, 4)) == 0
    with TrafficCounter() as counter:
        torch.zeros(1, 4).expand(100, 4) + torch.zeros(100, 4)
    assert counter.bytes == F32 * (4 + 400) + F32 * (4 + 400 + 400)  # both are written, then read, and their sum


def test_what_writes_without_reading():
    with TrafficCounter() as counter:
        a, b = torch.empty(10), torch.empty(10)
        assert counter.bytes == 0
        a.fill_(1)
        assert counter.bytes == F32 * 10
        b.copy_(a)
        assert counter.bytes == F32 * 30
        torch.zeros_like(b)
        assert counter.bytes == F32 * 40
    assert counter.ops == 5


VIT = ViTConfig(img_size=8, patch_size=4, in_chans=1, num_classes=10, embed_dim=16, depth=2, num_heads=2)


@pytest.mark.parametrize("config", [VIT, ResNetConfig(depth=18, img_size=32, in_chans=3, num_classes=10, width=8)])
def test_of_any_model(config):
    """Affine in the batch: weights are read once, whatever it is."""
    one, two, three = (traffic(config, batch) for batch in (1, 2, 3))
    assert three.unfused - two.unfused == two.unfused - one.unfused > 0
    assert one.unfused > one.compulsory
    ends = config.in_chans * config.img_size**2 + config.num_classes
    assert two.compulsory - one.compulsory == F32 * ends
    assert one.ops == two.ops


@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_a_vits_weights_are_all_compulsory(pool):
    from dataclasses import replace

    from vitbench.models import build

    config = replace(VIT, pool=pool)
    weights = sum(parameter.numel() for parameter in build(config).parameters())
    assert traffic(config, 1).compulsory == F32 * (weights + 64 + 10)


@given(depth=st.integers(1, 3), width=st.sampled_from([8, 16, 32]))
@settings(max_examples=scaled(2))
def test_half_the_bytes_in_half_the_precision(depth, width):
    layers = [nn.Linear(width, width) for _ in range(depth)]
    full, half = (
        traffic(nn.Sequential(*layers).to(kind), 2, torch.zeros(1, width, dtype=kind))
        for kind in (torch.float32, torch.bfloat16)
    )
    assert (full.unfused, full.compulsory, full.ops) == (2 * half.unfused, 2 * half.compulsory, half.ops)


def test_the_module_is_left_alone():
    module = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)).train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    assert isinstance(traffic(module, 2, torch.zeros(1, 3)), Traffic)
    assert module.training
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())


def test_a_model_that_cannot_run_says_why():
    with pytest.raises(UserError, match="memory traffic of Linear cannot be counted: RuntimeError"):
        traffic(nn.Linear(3, 2), 1, torch.zeros(1, 4))
