"""Tiny models and the ways in which they fail, for the tests of this room."""

import textwrap

import pytest

from vitbench.declare.ablation import Ablation
from vitbench.declare.external import ExternalConfig
from vitbench.declare.measure import MeasureConfig
from vitbench.declare.train import TrainConfig
from vitbench.run.executors.local.executor import LocalExecutor

FAULTS = '''
import ctypes, os, sys, time
import torch
from torch import nn


class Model(nn.Module):
    """A linear classifier that does something first when it is trained on real data."""

    def __init__(self, num_classes, fault=None):
        super().__init__()
        self.linear = nn.Linear(64, num_classes)
        self.fault = fault

    def forward(self, x):
        if self.fault is not None and x.device.type != "meta":
            self.fault()
        return self.linear(x.flatten(1))


def good(num_classes):
    return Model(num_classes)


def raises(num_classes):
    return Model(num_classes, lambda: [][1])


def leaves(num_classes):
    def fault():
        print("leaving now")
        os._exit(7)
    return Model(num_classes, fault)


def segfaults(num_classes):
    return Model(num_classes, lambda: ctypes.string_at(0))


def exhausts(num_classes):
    return Model(num_classes, lambda: bytearray(1 << 60))


def hangs(num_classes):
    return Model(num_classes, lambda: time.sleep(600))


class Infinite(Model):
    def forward(self, x):
        return self.linear(x.flatten(1)) / 0


def diverges(num_classes):
    return Infinite(num_classes)


class Moody(Model):
    """Survives its probe, and kills the process when it meets others."""

    def forward(self, x):
        if len(sys.modules["moody"].met) > 1:
            os.kill(os.getpid(), 11)
        return super().forward(x)


def moody(num_classes):
    met.add("moody")
    return Moody(num_classes)


def sociable(num_classes):
    met.add("sociable")
    return Model(num_classes)


met = set()
sys.modules["moody"] = sys.modules[__name__]
'''


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """One fork server for all, which knows the module too."""
    place = tmp_path_factory.mktemp("models")
    (place / "faults.py").write_text(textwrap.dedent(FAULTS))
    with LocalExecutor(import_path=place) as executor:
        yield executor


@pytest.fixture
def folder(tmp_path):
    """A folder with a module of models beside an imagined ablation file."""
    (tmp_path / "faults.py").write_text(textwrap.dedent(FAULTS))
    return tmp_path


@pytest.fixture(scope="session")
def sweep_of():
    """Ablation over functions of that module; the first one is the baseline."""

    def make(*functions, module="faults", **changes):
        sources = tuple(f"{module}:{function}" for function in functions)
        return Ablation(
            question="What survives?",
            baseline=ExternalConfig(sources[0], img_size=8, in_chans=1, num_classes=10),
            axes={"source": sources},
            train=TrainConfig(epochs=1),
            measure=MeasureConfig(blocks=2, cycles=1, warmup_s=0.0),
            **{"seeds": 2, **changes},
        )

    return make
