"""Two ViTs and a ResNet, with all that their trials keep."""

import numpy as np

from tests.support.made_records import Made
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.serialize import as_dict

CLASSES = ["cat", "dog"]
VARIANTS = [
    {"name": "vit"},
    {"name": "vit_small"},
    {
        "name": "resnet",
        "family": "ResNet",
        "config": as_dict(ResNetConfig(depth=None, layers=(1, 1, 1), block="basic", stem="cifar", img_size=8)),
    },
]


def two_families(folder, *, seeds=6, kept=True):
    """Two ViTs and a ResNet that is better in the class ``dog`` only; with all that a trial keeps, or less."""
    groups = [["same place", 200], ["any shift", 160]]
    data = {"classes": CLASSES, "num_classes": 2, "test_groups": groups if kept else [], "img_size": 8,
            "name": "digits", "version": "1", "in_chans": 1, "num_train": 90, "num_val": 30, "num_test": 360,
            "chance": 0.5}  # fmt: skip
    made = Made(folder, VARIANTS, ablation="pair", question="Which family?", plan={"data": data})
    rng = np.random.default_rng(1)
    labels = np.arange(360) % 2
    for name, macs, dogs in (("vit", 4000, 0.7), ("vit_small", 2000, 0.65), ("resnet", 3000, 0.9)):
        made.cost(name, params=macs, macs=macs)
        made.memory(name, inference=2**20, training=2**20 * macs)
        correct = (rng.random((seeds, 360)) < np.where(labels, dogs, 0.8)).astype(int)
        made.accuracy(name, correct.mean(axis=1).tolist(), epochs=4, right=correct.tolist())
        for seed in range(seeds if kept else 0):
            predictions = np.where(correct[seed], labels, 1 - labels)
            arrays = {"steps": np.arange(1, 5) * 20, "labels": labels, "predictions": predictions,
                      "logits": (3.0 * np.eye(2)[predictions]).astype(np.float32)}  # fmt: skip
            if name != "resnet":
                arrays |= {"attention_distance": rng.uniform(1, 6, (3, 2)), "uniform_distance": 4.0}
            made.looks(name, seed, **arrays)
    made.timing({"vit": 4e-3, "vit_small": 2e-3, "resnet": 3e-3})
    return made
