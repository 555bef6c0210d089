"""One training run, start to end: config, data and seed in, test accuracy and curves out.

Pairing by seed: the initial weights, the order of the data and each kind of augmentation are drawn from streams of the
trial's seed, each with its own generator, so that for equal seeds they are the same whatever else a variant draws
(dropout has one too). The final model is that of the last epoch; the test split is looked at once, after it.
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
from vitbench.train.checkpoint import TrainingCheckpoint
from vitbench.train.ema import RunningMean
from vitbench.train.evaluate import predict
from vitbench.train.feed import Feed
from vitbench.train.optimizer import learning_rate
from vitbench.train.seeds import seed_of
from vitbench.train.state import Parts
from vitbench.train.step import Step
from vitbench.utils.errors import UserError

if TYPE_CHECKING:
    from vitbench.models.weights import LoadReport


class Diverged(RuntimeError):  # noqa: N818 (the word of a record's status)
    """The loss is no longer a number. ``epoch`` and ``step`` (of all steps) count from 1."""

    def __init__(self, epoch: int, step: int) -> None:
        super().__init__(f"the loss is not finite in epoch {epoch}, step {step}: try a lower lr")
        self.epoch, self.step = epoch, step

    def __reduce__(self) -> tuple[type[Diverged], tuple[int, int]]:  # a worker sends it to its parent
        return Diverged, (self.epoch, self.step)


@dataclass(frozen=True)
class Epoch:
    """One point of the learning curve.

    ``val_loss`` is cross-entropy with the recipe's label smoothing; ``train_loss`` is the mean over the epoch's steps
    of what is minimised, augmentation, dropout, mixed labels and a teacher's term included. ``seconds`` counts training
    since the start, without evaluation, and ``wait_s`` what of it was spent waiting for the next batch.
    """

    epoch: int  # from 1; 0: what a run that starts from a checkpoint was before its first step
    train_loss: float  # NaN before the first step
    val_loss: float
    val_accuracy: float
    seconds: float
    wait_s: float


@dataclass(frozen=True)
class TrainResult:
    """What came of a training run.

    ``model`` is what was evaluated: with ``ema`` the running mean. ``loaded`` says what became of the tensors of
    ``init_from``.
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
        """Fraction of the test split."""
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
    """Trains a model on the training split, from scratch or from ``init_from``, and tests it once.

    From ``init_from`` the curve has a point before the first step; with ``epochs=0`` it is the only one.

    With a ``checkpoint`` it leaves its state there after a step or an evaluation whenever that is due, and goes on from
    a state that was left before: on the CPU to the same numbers, to the last digit. ``on_epoch`` is then told what
    comes, not what was.

    Sets the state of torch's global generators. A ``teacher`` maps the same normalised images to logits of the same
    classes; it is moved to the device and called in evaluation mode.

    Raises:
        Diverged: the loss became infinite or not a number.
        UserError: the recipe distils and there is no teacher, or one of other classes; ``init_from`` cannot be read or
            does not fit; or the device or the model cannot have a setting.
    """
    if (config.distillation != "none") != (teacher is not None):
        raise UserError(
            f"distillation={config.distillation} {'needs' if teacher is None else 'has no use for'} a teacher: "
            "train(teacher=…) takes a module, and goes with distillation=soft or hard"
        )
    torch.manual_seed(seed_of(seed, "weights"))
    model = build(model_config)
    loaded = None if config.init_from is None else _start_from(model, config.init_from)
    model = model.to(device)
    if teacher is not None:
        teacher = teacher.to(device).eval()
    torch.manual_seed(seed_of(seed, "dropout"))
    feed = Feed(dataset, config, seed=seed, device=device)
    step = Step(model, config, device, teacher)
    mean = RunningMean(model, config.ema) if config.ema else None
    judged = model if mean is None else mean.model
    val = dataset.val.to(feed.home) if isinstance(dataset.val, Split) else dataset.val
    answers = dataset.val.labels.to(device)
    parts = Parts(model, step, mean, feed, device)
    per_epoch, steps = feed.per_epoch, feed.per_epoch * config.epochs

    first, curve, seconds = 1, list[Epoch](), 0.0
    losses: list[Tensor] = []  # of the epoch
    left = None if checkpoint is None else checkpoint.read()
    if checkpoint is not None and left is not None:
        try:
            parts.restore(left["parts"])
            first, seconds, losses = left["epoch"], left["seconds"], list(left["losses"].to(device))
            curve = [Epoch(*point) for point in left["curve"]]
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            checkpoint.refuse(f"does not fit this model ({type(error).__name__})")
            return train(  # anew, since what was restored in part is of no use
                model_config,
                config,
                dataset,
                seed=seed,
                device=device,
                on_epoch=on_epoch,
                teacher=teacher,
                checkpoint=checkpoint,
            )

    def look(epoch: int, train_loss: float) -> None:
        logits = predict(judged, val, feed.normalise, config, device)
        val_loss = functional.cross_entropy(logits, answers, label_smoothing=config.label_smoothing).item()
        if not math.isfinite(val_loss):
            raise Diverged(epoch, epoch * per_epoch)
        val_accuracy = (logits.argmax(1) == answers).double().mean().item()
        curve.append(Epoch(epoch, train_loss, val_loss, val_accuracy, seconds, feed.wait_s))
        if on_epoch is not None:
            on_epoch(curve[-1])

    def state(epoch: int, so_far: Tensor) -> dict[str, Any]:
        points = [dataclasses.astuple(point) for point in curve]
        return {"parts": parts.state(), "epoch": epoch, "losses": so_far, "curve": points, "seconds": seconds}

    if loaded is not None and left is None:
        look(0, math.nan)
    for epoch in range(first, config.epochs + 1):
        start = time.perf_counter()
        model.train()
        for images, targets in feed.epoch():
            rate = learning_rate((epoch - 1) * per_epoch + len(losses), steps, config)
            losses.append(step(images, targets, rate))
            if mean is not None:
                mean.update()
            if checkpoint is not None and checkpoint.due():
                so_far = torch.stack(losses).cpu()  # waits for the device
                seconds += time.perf_counter() - start
                checkpoint.write(state(epoch, so_far))
                start = time.perf_counter()
        epoch_losses = torch.stack(losses).tolist()  # waits for the device
        seconds += time.perf_counter() - start
        for number, value in enumerate(epoch_losses, start=1):
            if not math.isfinite(value):
                raise Diverged(epoch, (epoch - 1) * per_epoch + number)
        look(epoch, sum(epoch_losses) / per_epoch)
        losses.clear()
        if checkpoint is not None and checkpoint.due():  # an evaluation may have taken long
            checkpoint.write(state(epoch + 1, torch.empty(0)))

    logits = predict(judged, dataset.test, feed.normalise, config, device)
    predictions = logits.argmax(1).cpu()
    return TrainResult(
        model=judged,
        curve=tuple(curve),
        logits=logits.cpu().numpy(),
        predictions=predictions.numpy(),
        correct=(predictions == dataset.test.labels).numpy(),
        steps=steps,
        loaded=loaded,
    )


def _start_from(model: nn.Module, path: str) -> LoadReport:
    """The file's weights into the model, but for a head of other classes; position embeddings are resized."""
    from vitbench.models.weights import load_weights

    return load_weights(model, path, replace_head=True)
