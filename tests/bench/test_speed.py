"""Forward and training step of the shipped models: ``nox -s bench``. Times are for looking at; nothing is asserted."""

import pytest
import torch

from vitbench import build, discovery, zoo
from vitbench.config import as_pair

BATCH = 8
MODELS = {v.name: v.model for v in discovery.load("vit_vs_resnet").ablation.variants()} | {
    name: zoo(name) for name in ("vit_tiny_patch16_224", "resnet18")
}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def images(config, batch=BATCH):
    return torch.randn(batch, config.in_chans, *as_pair(config.img_size), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.benchmark(group="forward, batch 8")
def test_forward(benchmark, name):
    torch.manual_seed(0)
    model, x = build(MODELS[name]).eval(), images(MODELS[name])
    with torch.inference_mode():
        benchmark(model, x)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.benchmark(group="training step, batch 8")
def test_train_step(benchmark, name):
    torch.manual_seed(0)
    model, x = build(MODELS[name]).train(), images(MODELS[name])
    labels = torch.arange(BATCH) % MODELS[name].num_classes
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)

    def step():
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(model(x), labels).backward()
        optimizer.step()

    benchmark(step)
