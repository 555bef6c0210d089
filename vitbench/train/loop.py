"""One training run, start to end: config, data and seed in, test accuracy and curves out.

Pairing by seed: the initial weights, the order of the data and the augmentation are drawn from three streams of the
trial's seed, each with its own generator, so that for equal seeds they are the same whatever else a variant draws
(dropout has a fourth). The final model is that of the last epoch; the test split is looked at once, after it.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from vitbench.config import ModelConfig, TrainConfig
from vitbench.data.dataset import Dataset, Split
from vitbench.models import build
from vitbench.train import augment
from vitbench.train.loss import cross_entropy
from vitbench.train.optimizer import adamw, learning_rate

EVALUATE_AT_ONCE = 512
"""Images in one forward pass of an evaluation; accuracy must not depend on the recipe's batch size through rounding."""

AUGMENT_AT_ONCE = 8192
"""Images augmented and normalised in one go: a small data set's whole epoch, a bounded part of a large one's."""


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

    Both losses are cross-entropy with the recipe's label smoothing; ``train_loss`` is the mean over the epoch's steps,
    augmentation and dropout on. ``seconds`` counts training since the start, without evaluation.
    """

    epoch: int  # from 1
    train_loss: float
    val_loss: float
    val_accuracy: float
    seconds: float


@dataclass(frozen=True)
class TrainResult:
    model: nn.Module
    curve: tuple[Epoch, ...]
    predictions: npt.NDArray[np.int64]  # (num_test,)
    correct: npt.NDArray[np.bool_]  # (num_test,)
    steps: int

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
) -> TrainResult:
    """Trains a model from scratch on the training split and tests it once.

    Sets the state of torch's global generators.

    Raises:
        Diverged: the loss became infinite or not a number.
    """
    torch.manual_seed(_stream(seed, "weights"))
    model = build(model_config).to(device)
    torch.manual_seed(_stream(seed, "dropout"))
    order, draws = (torch.Generator().manual_seed(_stream(seed, name)) for name in ("order", "augmentation"))

    shift_px = config.shift_px if dataset.spec.shift else 0
    flip = config.flip and dataset.spec.flip
    home = _home(dataset, device)
    learn, val = dataset.train.to(home), dataset.val.to(home)
    padded = augment.pad(learn.images, shift_px)
    normalise = _Normalise(dataset.mean.to(device), dataset.std.to(device))
    batch_size = min(config.batch_size, len(learn))
    per_epoch = len(learn) // batch_size  # an incomplete last batch waits for the next shuffle
    steps = per_epoch * config.epochs
    optimizer = adamw(model, config)
    parameters = [p for p in model.parameters() if p.requires_grad]

    curve: list[Epoch] = []
    seconds = 0.0
    for epoch in range(1, config.epochs + 1):
        start = time.perf_counter()
        model.train()
        shuffled = torch.randperm(len(learn), generator=order)[: per_epoch * batch_size].to(home)
        shifts, flips = (
            drawn.to(home) for drawn in augment.draw(len(learn), shift_px=shift_px, flip=flip, generator=draws)
        )
        losses: list[Tensor] = []
        for chunk in torch.split(shuffled, max(1, AUGMENT_AT_ONCE // batch_size) * batch_size):
            raw = augment.take(padded, chunk, shifts[chunk], flips[chunk], shift_px=shift_px)
            images, labels = normalise(raw.to(device)), learn.labels[chunk].to(device)
            for x, y in zip(torch.split(images, batch_size), torch.split(labels, batch_size), strict=True):
                rate = learning_rate((epoch - 1) * per_epoch + len(losses), steps, config)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                with _autocast(config, device):
                    loss = cross_entropy(model(x), y, config.label_smoothing)
                torch.autograd.backward(loss)
                if config.clip_grad_norm:
                    nn.utils.clip_grad_norm_(parameters, config.clip_grad_norm, foreach=True)
                optimizer.step()
                optimizer.zero_grad()
                losses.append(loss.detach())
        epoch_losses = torch.stack(losses).tolist()  # waits for the device
        seconds += time.perf_counter() - start
        for step, value in enumerate(epoch_losses, start=1):
            if not math.isfinite(value):
                raise Diverged(epoch, (epoch - 1) * per_epoch + step)
        logits = _logits(model, val, normalise, config, device)
        answers = val.labels.to(device)
        val_loss = functional.cross_entropy(logits, answers, label_smoothing=config.label_smoothing).item()
        if not math.isfinite(val_loss):
            raise Diverged(epoch, epoch * per_epoch)
        val_accuracy = (logits.argmax(1) == answers).double().mean().item()
        curve.append(Epoch(epoch, sum(epoch_losses) / per_epoch, val_loss, val_accuracy, seconds))
        if on_epoch is not None:
            on_epoch(curve[-1])

    predictions = _logits(model, dataset.test, normalise, config, device).argmax(1).cpu()
    return TrainResult(
        model=model,
        curve=tuple(curve),
        predictions=predictions.numpy(),
        correct=(predictions == dataset.test.labels).numpy(),
        steps=steps,
    )


def _stream(seed: int, name: str) -> int:
    """A seed for one of a trial's independent streams."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8]) >> 1


@dataclass(frozen=True)
class _Normalise:
    mean: Tensor  # (channels,)
    std: Tensor

    def __call__(self, images: Tensor) -> Tensor:
        """Raw (n, c, h, w) → float32 with mean 0 and deviation 1 over the training split."""
        return (images.float() - self.mean[:, None, None]) / self.std[:, None, None]


def _autocast(config: TrainConfig, device: str) -> contextlib.AbstractContextManager[object]:
    kind = torch.device(device).type
    if config.precision == "bfloat16" or (config.precision == "auto" and kind == "cuda"):
        return torch.autocast(kind, dtype=torch.bfloat16)
    return contextlib.nullcontext()


def _home(dataset: Dataset, device: str) -> str:
    """Where the images stay: on the device, unless they would take more than half of a GPU's free memory."""
    if torch.device(device).type != "cuda":
        return device
    images = (dataset.train.images, dataset.val.images)
    free, _ = torch.cuda.mem_get_info(device)
    return device if 2 * sum(i.nbytes for i in images) <= free / 2 else "cpu"  # twice: with and without a border


def _logits(model: nn.Module, split: Split, normalise: _Normalise, config: TrainConfig, device: str) -> Tensor:
    """(n, classes), float32, in evaluation mode."""
    model.eval()
    with torch.inference_mode(), _autocast(config, device):
        batches = torch.split(split.images, EVALUATE_AT_ONCE)
        return torch.cat([model(normalise(images.to(device))).float() for images in batches])
