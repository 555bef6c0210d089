"""What it takes to leave a training's state on the disk, and how often it is therefore done: ``nox -s bench``."""

import pytest
import torch

from vitbench import build, zoo
from vitbench.declare.train import TrainConfig
from vitbench.train.checkpoint import EVERY_S, SHARE, TrainingCheckpoint, tensors
from vitbench.train.optimizer import build_optimizer


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "resnet18"])
def test_write(benchmark, tmp_path, name):
    model = build(zoo(name))
    optimizer = build_optimizer(model, TrainConfig())
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    checkpoint = TrainingCheckpoint(tmp_path / "a.pt", "a")
    assert benchmark(checkpoint.write, state)
    mebibytes = sum(tensor.nbytes for tensor in tensors(state)) / 2**20
    benchmark.extra_info |= {"MiB": round(mebibytes, 1), "at least every s": EVERY_S, "at most of the time": SHARE}
