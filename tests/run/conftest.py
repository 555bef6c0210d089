"""Tiny models and the ways in which they fail, for the tests of this room."""

import shutil

import pytest

from tests.support.tiny_training import FAULTY_MODELS
from vitbench.declare.ablation import Ablation
from vitbench.declare.external import ExternalConfig
from vitbench.declare.measure import MeasureConfig
from vitbench.declare.train import TrainConfig


@pytest.fixture
def folder(tmp_path):
    """A folder with a module of models beside an imagined ablation file."""
    shutil.copy(FAULTY_MODELS, tmp_path / "faults.py")
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
