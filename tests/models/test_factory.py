"""The door of the room: any config in, a module out; shapes are checked under pytest and cost users nothing."""

from __future__ import annotations

import inspect
import subprocess
import sys

import jaxtyping
import pytest
import torch
from torch import nn

import vitbench
from vitbench.declare.external import ExternalConfig
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.vit import ViTConfig
from vitbench.models import ResNet, VisionTransformer, build
from vitbench.models.attention import Attention
from vitbench.utils.errors import UserError


def test_each_config_has_its_module():
    with torch.device("meta"):
        assert isinstance(build(ViTConfig()), VisionTransformer)
        assert isinstance(build(ResNetConfig()), ResNet)
        assert isinstance(build(ExternalConfig("torch.nn:Identity")), nn.Identity)
    assert vitbench.build is build


def test_a_name_is_no_config():
    with pytest.raises(UserError, match=r"'resnet18' is not a model config.*zoo\(name\)"):
        inspect.unwrap(build)("resnet18")  # without the check of types, as a user calls it


def test_seeds_decide_the_weights():
    config = ResNetConfig(depth=18, width=4, num_classes=2)

    def weights(seed):
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in build(config).parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@pytest.mark.parametrize(
    ("x", "mask"),
    [
        (torch.zeros(2, 8), None),
        (torch.zeros(2, 3, 8, dtype=torch.long), None),
        (torch.zeros(2, 3, 8), torch.ones(2, 4, dtype=torch.bool)),
        (torch.zeros(2, 3, 8), torch.ones(2, 3)),
    ],
)
def test_shapes_are_checked_under_pytest(x, mask):
    with pytest.raises(jaxtyping.TypeCheckError):
        Attention(8, 2)(x, mask)


def test_shapes_cost_users_nothing():
    code = "from vitbench.models.attention import Attention as A; raise SystemExit(hasattr(A.forward, '__wrapped__'))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
