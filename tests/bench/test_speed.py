"""Forward and training step of the shipped models: ``nox -s bench``. Times are for looking at; nothing is asserted.

Digits models are timed on 8×8 images, published ones on 224×224.
"""

import pytest
import torch

from vitbench import build, zoo
from vitbench.declare import discovery
from vitbench.declare.sizes import as_pair

BATCH = 8
MODELS = {v.name: v.model for v in discovery.load("vit_vs_resnet").ablation.variants()} | {
    name: zoo(name) for name in ("vit_tiny_patch16_224", "resnet18")
}


def each_in_its_group(what):
    """Every model as a parameter, in the group of those that take the same images."""
    return pytest.mark.parametrize(
        "name",
        [
            pytest.param(name, marks=pytest.mark.benchmark(group=f"{what}, batch {BATCH}, {config.img_size} px"))
            for name, config in MODELS.items()
        ],
    )


def images(config):
    shape = (BATCH, config.in_chans, *as_pair(config.img_size))
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@each_in_its_group("forward")
def test_forward(benchmark, together, seeded, name):
    model, x = build(MODELS[name]).eval(), images(MODELS[name])
    together(name, model, x, "forward")
    with torch.inference_mode():
        benchmark(model, x)


@each_in_its_group("training step")
def test_train_step(benchmark, together, seeded, name):
    model, x = build(MODELS[name]).train(), images(MODELS[name])
    together(name, model, x, "train_step")
    labels = torch.arange(BATCH) % MODELS[name].num_classes
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)

    def step():
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(model(x), labels).backward()
        optimizer.step()

    benchmark(step)
