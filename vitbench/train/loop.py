"""A training run: from config, data and seed to test accuracy and learning curves.

Initial weights, data order, dropout and each augmentation draw from separate streams of the trial's seed, so variants
with the same seed share them whatever else they draw. The final model is that of the last epoch; the test split is
evaluated once, at the end.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from vitbench.data.dataset import Dataset, Split
from vitbench.declare.model import ModelConfig
from vitbench.declare.train import TrainConfig
from vitbench.models import build
from vitbench.train.batch_loader import BatchLoader
from vitbench.train.checkpoint import TrainingCheckpoint
from vitbench.train.ema import RunningMean
from vitbench.train.evaluate import predict
from vitbench.train.lr_schedule import learning_rate
from vitbench.train.seeds import seed_of
from vitbench.train.step import Step
from vitbench.train.training_state import Parts
from vitbench.utils.errors import UserError

if TYPE_CHECKING:
    from vitbench.models.weights import LoadReport


class Diverged(RuntimeError):  # noqa: N818 (the word of a record's status)
    """The loss is not finite. ``epoch`` and ``step`` (over all epochs) count from 1."""

    def __init__(self, epoch: int, step: int) -> None:
        super().__init__(f"the loss is not finite in epoch {epoch}, step {step}: try a lower lr")
        self.epoch, self.step = epoch, step

    def __reduce__(self) -> tuple[type[Diverged], tuple[int, int]]:  # to be sent from a worker to its parent
        return Diverged, (self.epoch, self.step)


@dataclass(frozen=True)
class Epoch:
    """One point of the learning curve.

    ``val_loss`` is cross-entropy with the recipe's label smoothing. ``train_loss`` is the mean training objective over
    the epoch's steps, including augmentation, dropout, mixed labels and the teacher's term. ``seconds`` is the training
    time since the start, without evaluations; ``wait_s`` is the part of it spent waiting for batches.
    """

    epoch: int  # from 1; 0: before the first step of a run that starts from ``init_from``
    train_loss: float  # NaN before the first step
    val_loss: float
    val_accuracy: float
    seconds: float
    wait_s: float


@dataclass(frozen=True)
class TrainResult:
    """The result of a training run.

    ``model`` is the evaluated model: with ``ema``, the running mean. ``loaded`` reports which tensors of ``init_from``
    were loaded.
    """

    model: nn.Module
    curve: tuple[Epoch, ...]
    logits: npt.NDArray[np.float32]  # (num_test, classes)
    predictions: npt.NDArray[np.int64]  # (num_test,)
    correct: npt.NDArray[np.bool_]  # (num_test,)
    steps: int
    loaded: LoadReport | None = None

    @property
    def accuracy(self) -> float:
        """Test accuracy as a fraction."""
        return float(self.correct.mean())


def train(
    model_config: ModelConfig,
    config: TrainConfig,
    dataset: Dataset,
    *,
    seed: int,
    device: str = "cpu",
    on_epoch: Callable[[Epoch], None] | None = None,
    teacher: nn.Module | None = None,
    checkpoint: TrainingCheckpoint | None = None,
) -> TrainResult:
    """The result of training a model, from scratch or from ``init_from``, and testing it once.

    With ``init_from`` the curve also has a point before the first step; with ``epochs=0`` it is the only point. The
    state of torch's global generators is changed.

    Args:
        model_config: the model to train.
        config: the recipe.
        dataset: the data; only the training split is trained on.
        seed: seed of all random draws.
        device: ``cpu`` or ``cuda``.
        on_epoch: called with each new point of the curve; after a resumption, not with the earlier ones.
        teacher: maps the same normalised images to logits of the same classes. It is moved to the device and called in
            evaluation mode.
        checkpoint: saves the state after a step or an evaluation whenever due, and resumes from a saved state. On the
            CPU, a resumed training gives bit-identical results.

    Raises:
        Diverged: the loss became infinite or NaN.
        UserError: the recipe distils without a teacher for the same classes, ``init_from`` cannot be read or does not
            fit, or the device or model does not support a setting.
    """
    if (config.distillation != "none") != (teacher is not None):
        raise UserError(
            f"distillation={config.distillation} {'needs' if teacher is None else 'does not use'} a teacher: "
            "pass a module as train(teacher=…) together with distillation=soft or hard"
        )
    torch.manual_seed(seed_of(seed, "weights"))
    model = build(model_config)
    loaded = None if config.init_from is None else _load_initial(model, config.init_from)
    model = model.to(device)
    if teacher is not None:
        teacher = teacher.to(device).eval()
    torch.manual_seed(seed_of(seed, "dropout"))
    loader = BatchLoader(dataset, config, seed=seed, device=device)
    step = Step(model, config, device, teacher)
    mean = RunningMean(model, config.ema) if config.ema else None
    evaluated = model if mean is None else mean.model
    val = dataset.val.to(loader.storage) if isinstance(dataset.val, Split) else dataset.val
    val_labels = dataset.val.labels.to(device)
    parts = Parts(model, step, mean, loader, device)
    per_epoch, steps = loader.per_epoch, loader.per_epoch * config.epochs

    first, curve, seconds = 1, list[Epoch](), 0.0
    losses: list[Tensor] = []  # of the current epoch
    saved = None if checkpoint is None else checkpoint.read()
    if checkpoint is not None and saved is not None:
        try:
            parts.restore(saved["parts"])
            first, seconds, losses = saved["epoch"], saved["seconds"], list(saved["losses"].to(device))
            curve = [Epoch(*point) for point in saved["curve"]]
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            checkpoint.refuse(f"does not fit this model ({type(error).__name__})")
            return train(  # from scratch, because the model may be partly restored
                model_config,
                config,
                dataset,
                seed=seed,
                device=device,
                on_epoch=on_epoch,
                teacher=teacher,
                checkpoint=checkpoint,
            )

    def validate(epoch: int, train_loss: float) -> None:
        logits = predict(evaluated, val, loader.normalise, config, device)
        val_loss = functional.cross_entropy(logits, val_labels, label_smoothing=config.label_smoothing).item()
        if not math.isfinite(val_loss):
            raise Diverged(epoch, epoch * per_epoch)
        val_accuracy = (logits.argmax(1) == val_labels).double().mean().item()
        curve.append(Epoch(epoch, train_loss, val_loss, val_accuracy, seconds, loader.wait_s))
        if on_epoch is not None:
            on_epoch(curve[-1])

    def state(epoch: int, epoch_losses: Tensor) -> dict[str, Any]:
        points = [dataclasses.astuple(point) for point in curve]
        return {"parts": parts.state(), "epoch": epoch, "losses": epoch_losses, "curve": points, "seconds": seconds}

    if loaded is not None and saved is None:
        validate(0, math.nan)
    for epoch in range(first, config.epochs + 1):
        start = time.perf_counter()
        model.train()
        for images, targets in loader.epoch():
            rate = learning_rate((epoch - 1) * per_epoch + len(losses), steps, config)
            losses.append(step(images, targets, rate))
            if mean is not None:
                mean.update()
            if checkpoint is not None and checkpoint.due():
                losses_so_far = torch.stack(losses).cpu()  # waits for the device
                seconds += time.perf_counter() - start
                checkpoint.write(state(epoch, losses_so_far))
                start = time.perf_counter()
        epoch_losses = torch.stack(losses).tolist()  # waits for the device
        seconds += time.perf_counter() - start
        for number, value in enumerate(epoch_losses, start=1):
            if not math.isfinite(value):
                raise Diverged(epoch, (epoch - 1) * per_epoch + number)
        validate(epoch, sum(epoch_losses) / per_epoch)
        losses.clear()
        if checkpoint is not None and checkpoint.due():  # the evaluation may have taken long
            checkpoint.write(state(epoch + 1, torch.empty(0)))

    logits = predict(evaluated, dataset.test, loader.normalise, config, device)
    predictions = logits.argmax(1).cpu()
    return TrainResult(
        model=evaluated,
        curve=tuple(curve),
        logits=logits.cpu().numpy(),
        predictions=predictions.numpy(),
        correct=(predictions == dataset.test.labels).numpy(),
        steps=steps,
        loaded=loaded,
    )


def _load_initial(model: nn.Module, path: str) -> LoadReport:
    """Loads the weights of a file, except a head for other classes; position embeddings are resized."""
    from vitbench.models.weights import load_weights

    return load_weights(model, path, replace_head=True)
