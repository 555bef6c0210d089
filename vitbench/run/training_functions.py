"""The measuring functions of what is trained, accuracy and tuning, as jobs: they run in a worker."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from vitbench.declare.data import DataConfig
from vitbench.run.executors.job import ReportProgress
from vitbench.run.measuring_functions import Measured, model_of
from vitbench.run.planning.trial import Trial

if TYPE_CHECKING:
    from vitbench.data.dataset import Dataset
    from vitbench.measure.accuracy import Accuracy
    from vitbench.train.checkpoint import TrainingCheckpoint


def accuracy(trial: Trial, _on: ReportProgress) -> list[Measured]:
    found = _trained(trial, _dataset(trial))
    return [Measured(trial.variants[0].name, dict(found.values), dict(found.samples), dict(found.arrays))]


KEPT_OF_A_TRY = ("val_accuracy", "train_seconds", "total_seconds", "epochs", "steps", "resumed", "started_over")
"""Values of a training that the record of a tuning try keeps."""


def tuning(trial: Trial, _on: ReportProgress) -> list[Measured]:
    """Trains one try and judges it on the validation split; the test split is never loaded. Divergence is a result."""
    from vitbench.train import Diverged

    dataset = _dataset(trial)
    blind = dataclasses.replace(dataset, test=dataset.val)
    values: dict[str, Any]
    try:
        found = _trained(trial, blind)
        values = {"diverged": False, **{key: found.values[key] for key in KEPT_OF_A_TRY if key in found.values}}
    except Diverged as error:
        values = {"diverged": True, "val_accuracy": None, "said": str(error)}
    return [Measured(trial.variants[0].name, values)]


def _dataset(trial: Trial) -> Dataset:
    """The data set, with the part of its training split that the variant asks for, drawn by the trial's seed."""
    from vitbench.data import load

    (variant,) = trial.variants
    if trial.data is None or trial.seed is None:
        raise ValueError(f"{trial.kind} trials take data and a seed")
    wanted = {key: getattr(variant.data, key) for key in ("fraction", "per_class", "scale")}
    cut: dict[str, Any] = {key: value for key, value in wanted.items() if value != getattr(DataConfig, key)}
    return load(trial.data[0], **cut, **({"seed": trial.seed} if cut else {}))


def _trained(trial: Trial, dataset: Dataset) -> Accuracy:
    import torch

    from vitbench.measure.accuracy import measure

    if trial.device == "cpu":
        torch.set_num_threads(1)
    (variant,) = trial.variants
    train = variant.train
    if variant.data.same_steps:  # repeat images within an epoch: more epochs would mean more validations too
        own = len(dataset.train)
        dataset = dataset.with_train(torch.arange(own).repeat(max(1, trial.images // own)))
        batch = train.batch_size * train.accumulate
        per_epoch, whole = (max(1, images // batch) for images in (len(dataset.train), trial.images))
        train = dataclasses.replace(train, epochs=math.ceil(train.epochs * whole / per_epoch))
    if (start := trial.weights.get("init_from")) is not None:
        train = dataclasses.replace(train, init_from=str(start))
    teacher = trial.needs.get("teacher")
    given = {
        "save_weights_to": trial.save_to,
        "teacher_weights": trial.weights.get("teacher"),
        "teacher_config": None if teacher is None else teacher.variants[0].model,
        "checkpoint": _checkpoint(trial),
    }
    files: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    return measure(model_of(variant), train, dataset, seed=trial.seed or 0, device=trial.device, **files)


def _checkpoint(trial: Trial) -> TrainingCheckpoint | None:
    from vitbench.train.checkpoint import EVERY_S, TrainingCheckpoint

    if trial.checkpoint is None:
        return None
    every_s = EVERY_S if trial.checkpoint_every_s is None else trial.checkpoint_every_s
    return TrainingCheckpoint(trial.checkpoint, trial.only_id, every_s)
