"""Accuracy: the share of the test split that a model names correctly after training from scratch.

One seed gives one number, and its spread over seeds is the unit of every comparison; the images within one run are not
independent repetitions. The whole per-image outcome is kept, so that two checkpoints can be compared image by image.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vitbench.config import ModelConfig, TrainConfig
from vitbench.data.dataset import Dataset
from vitbench.train.loop import Epoch, train


@dataclass(frozen=True)
class Accuracy:
    """What an accuracy record needs; ``arrays`` go to its artifact: curves over epochs, predictions over images."""

    values: dict[str, float]
    samples: dict[str, dict[str, Any]]
    arrays: dict[str, npt.NDArray[Any]]


def measure(
    model_config: ModelConfig,
    train_config: TrainConfig,
    dataset: Dataset,
    *,
    seed: int,
    device: str = "cpu",
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Accuracy:
    """Trains once and tests once.

    Raises:
        Diverged: the loss became infinite or not a number.
    """
    start = time.perf_counter()
    result = train(model_config, train_config, dataset, seed=seed, device=device, on_epoch=on_epoch)
    last = result.curve[-1]
    return Accuracy(
        values={
            "accuracy": result.accuracy,
            "val_accuracy": last.val_accuracy,
            "train_loss": last.train_loss,
            "num_test": len(result.correct),
            "correct": int(result.correct.sum()),
            "train_seconds": last.seconds,
            "total_seconds": time.perf_counter() - start,  # evaluations too
            "epochs": len(result.curve),
            "steps": result.steps,
        },
        samples={"correct": {"unit": "0/1 per test image", "values": result.correct.astype(int).tolist()}},
        arrays={
            "epoch": np.array([point.epoch for point in result.curve]),
            "train_loss": np.array([point.train_loss for point in result.curve]),
            "val_loss": np.array([point.val_loss for point in result.curve]),
            "val_accuracy": np.array([point.val_accuracy for point in result.curve]),
            "seconds": np.array([point.seconds for point in result.curve]),
            "predictions": result.predictions,
        },
    )
