"""A trial of no work, which gives what a training on digits does: values, an outcome an image, curves. No torch."""

from __future__ import annotations

import numpy as np

from vitbench.run.executors.job import ReportProgress
from vitbench.run.measuring_functions import Measured
from vitbench.run.planning.trial import Trial

TESTED, EPOCHS = 360, 20


def measured(trial: Trial, _on: ReportProgress) -> list[Measured]:
    rng = np.random.default_rng(trial.seed)
    right = (rng.random(TESTED) < 0.9).astype(int).tolist()
    accuracy = sum(right) / TESTED
    values = {
        "accuracy": accuracy, "val_accuracy": accuracy, "train_loss": 0.5, "num_test": TESTED, "correct": sum(right),
        "train_seconds": 0.0, "total_seconds": 0.0, "epochs": EPOCHS, "steps": 660, "wait_share": 0.0,
    }  # fmt: skip
    samples = {"correct": {"unit": "0/1 per test image", "values": right}}
    curves = ("epoch", "steps", "seconds", "train_loss", "val_loss", "val_accuracy")
    arrays = {name: rng.random(EPOCHS) for name in curves}
    arrays |= {"predictions": rng.integers(0, 10, TESTED), "labels": rng.integers(0, 10, TESTED)}
    return [Measured(trial.variants[0].name, values, samples, arrays)]
