"""Other people's models are found, called with what they name, and refused in one sentence."""

from __future__ import annotations

import sys

import pytest
import torch

from vitbench.config import ExternalConfig
from vitbench.errors import UserError
from vitbench.models.external import build_external

SOURCE = """
from torch import nn

def tiny(num_classes, in_chans=3, width=4):
    pool = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(nn.Conv2d(in_chans, width, 1), *pool, nn.Linear(width, num_classes))

def no_module(): return "model"
def needs(secret): return nn.Identity()
def boom(): raise RuntimeError("out of luck")

CONSTANT = 3
"""


@pytest.fixture(autouse=True)
def beside(tmp_path, monkeypatch):
    (tmp_path / "my_nets.py").write_text(SOURCE)
    (tmp_path / "my_broken.py").write_text("def f(:\n")
    (tmp_path / "my_needy.py").write_text("import no_such_package_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("my_nets", "my_broken", "my_needy"):
        sys.modules.pop(name, None)


def test_gets_the_settings_that_its_signature_names():
    model = build_external(ExternalConfig("my_nets:tiny", {"width": 5}, in_chans=2, num_classes=7))
    assert model(torch.randn(3, 2, 4, 4)).shape == (3, 7)
    assert model[0].out_channels == 5


def test_own_kwargs_win():
    assert build_external(ExternalConfig("my_nets:tiny", {"num_classes": 9}))[-1].out_features == 9


def test_a_class_will_do():
    model = build_external(ExternalConfig("torch.nn:Linear", {"in_features": 2, "out_features": 3}))
    assert model.out_features == 3


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("no_such_nets:tiny", r"no module 'no_such_nets': .* put no_such_nets.py beside the ablation file"),
        ("no_such.nets:tiny", r"no module 'no_such.nets': .* put no_such.py beside"),
        ("my_needy:f", r"module 'my_needy' needs 'no_such_package_at_all'"),
        ("my_broken:f", r"module 'my_broken' cannot be imported: SyntaxError"),
        ("my_nets:tinny", r"unknown function of my_nets 'tinny': .*did you mean 'tiny'\?"),
        ("my_nets:CONSTANT", r"unknown function of my_nets 'CONSTANT'"),
        ("my_nets:no_module", r"my_nets:no_module returned str, not a torch.nn.Module"),
        ("my_nets:needs", r"my_nets:needs cannot be called with no arguments: .*'secret'; it takes \(secret\)"),
    ],
)
def test_a_mistake_is_answered_in_one_sentence(source, message):
    with pytest.raises(UserError, match=message) as caught:
        build_external(ExternalConfig(source))
    assert "\n" not in str(caught.value)


def test_what_the_function_raises_is_its_own():
    with pytest.raises(RuntimeError, match="out of luck"):
        build_external(ExternalConfig("my_nets:boom"))
