"""Test accuracy of a model after training, from scratch or from a checkpoint.

One seed gives one accuracy, and seeds are the units of every comparison; the images of a run are not independent
repetitions. Per-image predictions are kept, so that two checkpoints can be compared image by image. For a vision
transformer, attention distances and similarities of the position embedding are kept too (``attention_arrays``).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from vitbench.data.dataset import Dataset
from vitbench.declare.model import ModelConfig
from vitbench.declare.sizes import as_pair
from vitbench.declare.train import TrainConfig
from vitbench.models import VisionTransformer
from vitbench.models.inspect import (
    attention_maps,
    mean_attention_distance,
    patch_distances,
    position_embedding_similarity,
)
from vitbench.models.weights import save_weights
from vitbench.train.batch_loader import Normalise
from vitbench.train.checkpoint import TrainingCheckpoint
from vitbench.train.loop import Epoch, train
from vitbench.train.teachers import load_teacher

LOOKED_AT = 64
"""Number of validation images over which attention distances are averaged."""

WEIGHTS_AT_ONCE = 2**24
"""Maximum number of attention weights in memory at once: 64 MiB."""

SIMILARITIES_UP_TO = 1024
"""Maximum number of patches for which similarities are kept, because they grow with its square."""


@dataclass(frozen=True)
class Accuracy:
    """The content of an accuracy record; ``arrays`` go to its artifact: curves over epochs, predictions over images."""

    values: dict[str, Any]
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
    teacher_weights: Path | None = None,
    teacher_config: ModelConfig | None = None,
    save_weights_to: Path | None = None,
    checkpoint: TrainingCheckpoint | None = None,
) -> Accuracy:
    """The accuracy of one training and one test.

    For a resumed training, ``train_seconds``, ``total_seconds`` and ``wait_share`` cover all its parts, and ``resumed``
    counts the resumptions. ``started_over`` says why an existing checkpoint was not used.

    Args:
        model_config: the model to train.
        train_config: the recipe; its ``teacher`` is loaded (``train.teachers``).
        dataset: the data.
        seed: seed of initial weights, data order and augmentation.
        device: ``cpu`` or ``cuda``.
        on_epoch: called with each point of the learning curve.
        teacher_weights: the file of a teacher that was just trained (``teacher=variant:NAME``).
        teacher_config: the model in that file, if the file does not store it.
        save_weights_to: a safetensors file to write the trained weights to.
        checkpoint: where a long training saves its state, and resumes from.

    Raises:
        Diverged: the loss became infinite or NaN.
        UserError: a checkpoint of the recipe cannot be read or does not fit.
    """
    start = time.perf_counter()
    teacher = None
    if train_config.teacher is not None:
        teacher = load_teacher(train_config.teacher, dataset.spec, weights=teacher_weights, config=teacher_config)
    result = train(
        model_config,
        train_config,
        dataset,
        seed=seed,
        device=device,
        on_epoch=on_epoch,
        teacher=teacher,
        checkpoint=checkpoint,
    )
    total_seconds = time.perf_counter() - start if checkpoint is None else checkpoint.total_seconds
    if save_weights_to is not None:
        save_weights(result.model, save_weights_to)
    last = result.curve[-1]
    return Accuracy(
        values={
            "accuracy": result.accuracy,
            "val_accuracy": last.val_accuracy,
            "train_loss": last.train_loss if last.epoch else None,
            "num_test": len(result.correct),
            "correct": int(result.correct.sum()),
            "train_seconds": last.seconds,
            "total_seconds": total_seconds,  # including evaluations
            "epochs": last.epoch,
            "steps": result.steps,
            # share of the training time spent waiting for loading, decoding and augmentation
            "wait_share": last.wait_s / last.seconds if last.epoch else None,
            **({} if result.loaded is None else {"init": str(result.loaded).splitlines()}),
            **({} if checkpoint is None else checkpoint.record_fields()),
        },
        samples={"correct": {"unit": "0/1 per test image", "values": result.correct.astype(int).tolist()}},
        arrays={
            "epoch": np.array([point.epoch for point in result.curve]),
            "train_loss": np.array([point.train_loss for point in result.curve]),
            "val_loss": np.array([point.val_loss for point in result.curve]),
            "val_accuracy": np.array([point.val_accuracy for point in result.curve]),
            "seconds": np.array([point.seconds for point in result.curve]),
            "steps": np.array([point.epoch for point in result.curve]) * (result.steps // max(1, last.epoch)),
            "logits": result.logits,
            "labels": dataset.test.labels.numpy(),
            "predictions": result.predictions,
            **attention_arrays(result.model, dataset, device),
        },
    )


def attention_arrays(model: nn.Module, dataset: Dataset, device: str) -> dict[str, npt.NDArray[Any]]:
    """Attention distances and position-embedding similarities of a vision transformer; empty for other models.

    Returns:
        ``attention_distance`` (layers, heads), in pixels of the data set's images; ``uniform_distance`` (), its value
        under uniform attention; ``pos_similarity`` (rows, columns, rows, columns), if positions have vectors and there
        are at most ``SIMILARITIES_UP_TO`` patches.
    """
    if not isinstance(model, VisionTransformer):
        return {}
    config = model.config
    (height, width), (rows, columns) = as_pair(config.img_size), config.grid_size
    patch_px = height / rows, width / columns
    raw = dataset.val.take(torch.arange(min(LOOKED_AT, len(dataset.val))))
    images = Normalise(dataset.mean, dataset.std)(raw)
    tokens = config.num_prefix_tokens + config.num_patches
    at_once = max(1, WEIGHTS_AT_ONCE // (config.depth * config.num_heads * tokens**2))
    parts = torch.split(images.to(device), at_once)
    distances = [
        mean_attention_distance(attention_maps(model, part), (rows, columns), config.num_prefix_tokens, patch_px)
        for part in parts
    ]
    found = {
        "attention_distance": np.average(distances, axis=0, weights=[len(part) for part in parts]),
        "uniform_distance": patch_distances((rows, columns), patch_px).mean(),
    }
    if config.num_patches <= SIMILARITIES_UP_TO and (similarity := position_embedding_similarity(model)) is not None:
        found["pos_similarity"] = similarity.astype(np.float32)
    return found
