"""Logits and labels → how good a classifier is, and how well it knows that; each number with its interval.

The intervals are over images: what another test split of the same kind might show. They say nothing of other seeds of
the training, and two models on one test split are to be compared image by image, not by whether their intervals meet.
Accuracy has Wilson's interval; calibration error that of a bootstrap (``vitbench.stats.calibration``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vitbench.data.dataset import Dataset
from vitbench.evaluate.preprocessing import Images
from vitbench.measure.timing.subject import Subject, SubjectError
from vitbench.measure.timing.throughput import measure as measure_throughput
from vitbench.stats import Interval, mean_interval
from vitbench.stats.calibration import CalibrationError, expected_calibration_error, wilson_interval
from vitbench.train.evaluate import raw_batches
from vitbench.utils.errors import UserError

TOP = 5
WINDOWS, WINDOW_S = 5, 1.0
"""Throughput: windows of back-to-back calls, and seconds each takes at least."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ClassScore:
    """One class: its accuracy is a fraction of its images; None where it has none in the test split."""

    name: str
    images: int
    accuracy: Interval | None


@dataclass(frozen=True)
class Scores:
    """Accuracies are fractions of the test split; ``top5`` is None where five guesses would say nothing."""

    top1: Interval
    top5: Interval | None
    calibration: CalibrationError
    classes: tuple[ClassScore, ...]


def score(logits: Tensor, labels: Tensor, classes: Sequence[str], *, seed: int = 0) -> Scores:
    """All that one pass over the test split shows.

    Args:
        logits: (images, classes).
        labels: (images,), from 0.
        classes: their names.
        seed: of the bootstrap.
    """
    n = len(labels)
    ranked = logits.topk(min(TOP, len(classes)), dim=1).indices == labels[:, None]
    correct = logits.argmax(dim=1) == labels
    found = []
    for index, name in enumerate(classes):
        own = labels == index
        images = int(own.sum())
        found.append(ClassScore(name, images, wilson_interval(int(correct[own].sum()), images) if images else None))
    return Scores(
        top1=wilson_interval(int(correct.sum()), n),
        top5=wilson_interval(int(ranked.any(dim=1).sum()), n) if len(classes) > TOP else None,
        calibration=expected_calibration_error(logits.softmax(dim=1).numpy(), labels.numpy(), seed=seed),
        classes=tuple(found),
    )


def logits_of(
    model: nn.Module,
    dataset: Dataset,
    images: Images,
    *,
    batch_size: int = 32,
    device: str = "cpu",
    workers: int = 1,
    outputs: Sequence[int] | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Tensor:
    """What the model says of each test image, (images, classes) float32, in evaluation mode.

    Args:
        model: on its device; its mode is left at evaluation.
        dataset: its test split is looked at, in memory or streamed.
        images: what is done to them first.
        batch_size: images in a call; the logits do not depend on it, but for rounding.
        device: of the model.
        workers: processes that decode streamed images.
        outputs: which of the model's outputs are the classes; None: all.
        progress: told images done and in all, before the first batch and after each.

    Raises:
        UserError: an output is NaN or infinite, or not (batch, classes).
    """
    model.eval()
    prepare, total = images.to(device), len(dataset.test)
    found: list[Tensor] = []
    done = 0
    progress(0, total)
    with torch.inference_mode():
        for raw in raw_batches(dataset.test, device, batch_size=batch_size, workers=workers):
            out = model(prepare(raw))
            if not isinstance(out, Tensor) or out.ndim != 2:
                raise UserError("this model does not put out logits of (batch, classes): it cannot be evaluated")
            logits = out.float().cpu()
            if not torch.isfinite(logits).all():
                raise UserError(
                    f"the model puts out NaN or infinity for one of test images {done + 1} to {done + len(logits)}: "
                    "its weights are damaged, or their numbers too large for float32"
                )
            found.append(logits if outputs is None else logits[:, list(outputs)])
            done += len(logits)
            progress(done, total)
    return torch.cat(found)


def throughput(
    model: nn.Module, dataset: Dataset, images: Images, *, batch_size: int = 32, device: str = "cpu", seed: int = 0
) -> Interval:
    """Images per second of the model alone, on real ones: loading and preparing them is left out.

    The interval is over windows, each with a fresh placement in memory: this machine, today.

    Raises:
        UserError: the model raised, or put out NaN or infinity.
    """
    batch = images.to(device)(next(raw_batches(dataset.test, device, batch_size=batch_size, workers=0)))
    batch = batch.repeat(-(-batch_size // len(batch)), 1, 1, 1)[:batch_size]
    try:
        rates = measure_throughput(
            {"the model": Subject(model, batch, device)}, window_s=WINDOW_S, windows=WINDOWS, seed=seed
        )
    except SubjectError as error:
        raise UserError(str(error)) from error
    return mean_interval(rates["the model"])


class Clock:
    """Says how long the rest will take, from what is done so far."""

    def __init__(self, say: Callable[[str], None], timer: Callable[[], float] = time.perf_counter) -> None:
        self.say, self.timer = say, timer
        self.start = timer()

    def __call__(self, done: int, total: int) -> None:
        if not done:
            self.start = self.timer()
            self.say(f"0 of {total} images")
        else:
            left = (self.timer() - self.start) / done * (total - done)
            self.say(f"{done} of {total} images, about {_duration(left)} left")


def _duration(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"
