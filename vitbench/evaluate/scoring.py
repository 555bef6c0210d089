"""Scores of a classifier on a test split: accuracy, calibration error and throughput, each with an interval.

Intervals are over images: the range that another test split of the same kind might show. They do not cover other
training seeds. To compare two models on one test split, compare them image by image, not by their intervals. Accuracy
has Wilson's interval, calibration error a bootstrap interval (``vitbench.stats.calibration``).
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
"""Number of throughput windows of back-to-back calls, and the minimum seconds of each."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ClassScore:
    """The accuracy of a class as a fraction of its test images; None if it has no test images."""

    name: str
    images: int
    accuracy: Interval | None


@dataclass(frozen=True)
class Scores:
    """Scores of a classifier; accuracies are fractions, and ``top5`` is None with five classes or fewer."""

    top1: Interval
    top5: Interval | None
    calibration: CalibrationError
    classes: tuple[ClassScore, ...]


def score(logits: Tensor, labels: Tensor, classes: Sequence[str], *, seed: int = 0) -> Scores:
    """The scores of logits on a test split.

    Args:
        logits: (images, classes).
        labels: (images,), from 0.
        classes: names of the classes.
        seed: seed of the bootstrap.
    """
    n = len(labels)
    ranked = logits.topk(min(TOP, len(classes)), dim=1).indices == labels[:, None]
    correct = logits.argmax(dim=1) == labels
    class_scores = []
    for index, name in enumerate(classes):
        in_class = labels == index
        images = int(in_class.sum())
        accuracy = wilson_interval(int(correct[in_class].sum()), images) if images else None
        class_scores.append(ClassScore(name, images, accuracy))
    return Scores(
        top1=wilson_interval(int(correct.sum()), n),
        top5=wilson_interval(int(ranked.any(dim=1).sum()), n) if len(classes) > TOP else None,
        calibration=expected_calibration_error(logits.softmax(dim=1).numpy(), labels.numpy(), seed=seed),
        classes=tuple(class_scores),
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
    """The model's logits of the test images, (images, classes), float32, on the CPU.

    Args:
        model: on its device; left in evaluation mode.
        dataset: the data set; its test split is in memory or streamed.
        images: preprocessing of the images.
        batch_size: images per call; the logits do not depend on it, except for rounding.
        device: device of the model.
        workers: number of processes that decode streamed images.
        outputs: output of each class; None: all outputs, in order.
        progress: called with the images done and in total, before the first batch and after each.

    Raises:
        UserError: an output is NaN or infinite, or its shape is not (batch, classes).
    """
    model.eval()
    prepare, total = images.to(device), len(dataset.test)
    parts: list[Tensor] = []
    done = 0
    progress(0, total)
    with torch.inference_mode():
        for raw in raw_batches(dataset.test, device, batch_size=batch_size, workers=workers):
            out = model(prepare(raw))
            if not isinstance(out, Tensor) or out.ndim != 2:
                raise UserError("this model does not output logits of (batch, classes): it cannot be evaluated")
            logits = out.float().cpu()
            if not torch.isfinite(logits).all():
                raise UserError(
                    f"the model outputs NaN or infinity for one of test images {done + 1} to {done + len(logits)}: "
                    "its weights are damaged or too large for float32"
                )
            parts.append(logits if outputs is None else logits[:, list(outputs)])
            done += len(logits)
            progress(done, total)
    return torch.cat(parts)


def throughput(
    model: nn.Module, dataset: Dataset, images: Images, *, batch_size: int = 32, device: str = "cpu", seed: int = 0
) -> Interval:
    """Throughput of the model in images per second, on real images, without loading and preprocessing.

    The interval is over windows, each with a fresh placement in memory; it does not cover other machines or days.

    Raises:
        UserError: the model raised an exception, or its output is NaN or infinite.
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
    """Reports the progress and the estimated remaining time."""

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
