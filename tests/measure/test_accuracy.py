from __future__ import annotations

import numpy as np

from vitbench.config import TrainConfig, ViTConfig
from vitbench.data import load
from vitbench.measure import accuracy


def test_the_record_agrees_with_itself():
    config = ViTConfig(img_size=8, patch_size=4, in_chans=1, num_classes=10, embed_dim=16, depth=1, num_heads=2)
    digits = load("digits")
    seen = []
    result = accuracy.measure(config, TrainConfig(epochs=3), digits, seed=0, on_epoch=seen.append)
    values, correct = result.values, result.samples["correct"]["values"]
    assert len(correct) == values["num_test"] == digits.spec.num_test
    assert sum(correct) == values["correct"]
    assert values["accuracy"] == values["correct"] / values["num_test"]
    assert (np.array(correct) == (result.arrays["predictions"] == digits.test.labels.numpy())).all()
    assert (values["epochs"], values["steps"]) == (3, 3 * (1077 // TrainConfig().batch_size))
    assert result.arrays["epoch"].tolist() == [1, 2, 3]
    for name in ("train_loss", "val_loss", "val_accuracy", "seconds"):
        assert result.arrays[name].tolist() == [getattr(epoch, name) for epoch in seen]
    assert values["val_accuracy"] == result.arrays["val_accuracy"][-1]
    assert values["train_seconds"] == result.arrays["seconds"][-1]
    assert values["total_seconds"] > values["train_seconds"]
