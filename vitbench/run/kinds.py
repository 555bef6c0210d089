"""What a job does, one function a kind of trial. With ``surveying`` all of this room that meets torch, in a worker."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vitbench.ablation import Variant
from vitbench.config import DataConfig, ModelConfig
from vitbench.run.job import On
from vitbench.run.trial import WINDOW_S, WINDOWS, Trial

if TYPE_CHECKING:
    from torch import nn

    from vitbench.data.dataset import Dataset
    from vitbench.measure.accuracy import Accuracy
    from vitbench.measure.session import Samples
    from vitbench.measure.subject import Mode, Subject


@dataclass(frozen=True)
class Measured:
    """What a trial found out about one variant: the middle of a record, and arrays for its artifact."""

    variant: str
    values: dict[str, Any]
    samples: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, Any] = field(default_factory=dict)
    control: bool = False  # it is the baseline's clone


def cost(trial: Trial, _on: On) -> list[Measured]:
    from vitbench.measure import count

    (variant,) = trial.variants
    counts = count(_model(variant))
    values = {
        "params": counts.params,
        "macs": counts.macs,
        "flops": counts.flops,
        "activations": counts.activations,
        "complete": counts.complete,
        "methods": {
            method: {"macs": macs, "macs_backward": counts.methods_backward.get(method)}
            for method, macs in counts.methods.items()
        },
        "findings": list(counts.findings),
        "by_module": dict(counts.by_module),
    }
    return [Measured(variant.name, values)]


def memory(trial: Trial, _on: On) -> list[Measured]:
    from vitbench.measure import memory as peak
    from vitbench.measure.prepare import modelled

    (variant,) = trial.variants
    measure = variant.measure
    values: dict[str, Any] = {"batch_size": measure.batch_size}
    for name, training in (("inference", False), ("training", True)):
        model, example = modelled(_model(variant), measure, training=training)
        found = peak(model, batch_size=measure.batch_size, training=training, example=example)
        values[name] = dataclasses.asdict(found)
    return [Measured(variant.name, values)]


def accuracy(trial: Trial, _on: On) -> list[Measured]:
    found = _trained(trial, _dataset(trial))
    return [Measured(trial.variants[0].name, dict(found.values), dict(found.samples), dict(found.arrays))]


OF_A_TRY = ("val_accuracy", "train_seconds", "total_seconds", "epochs", "steps")
"""What is kept of a tuning's try."""


def tuning(trial: Trial, _on: On) -> list[Measured]:
    """A try: trained as ever, judged by the validation split; it never holds the test split. Diverging is a result."""
    from vitbench.train import Diverged

    dataset = _dataset(trial)
    blind = dataclasses.replace(dataset, test=dataset.val)
    values: dict[str, Any]
    try:
        found = _trained(trial, blind)
        values = {"diverged": False, **{key: found.values[key] for key in OF_A_TRY}}
    except Diverged as error:
        values = {"diverged": True, "val_accuracy": None, "said": str(error)}
    return [Measured(trial.variants[0].name, values)]


def _dataset(trial: Trial) -> Dataset:
    """The data set, its training split cut as the variant asks, by the trial's seed."""
    from vitbench.data import load

    (variant,) = trial.variants
    if trial.data is None or trial.seed is None:
        raise ValueError(f"{trial.kind} trials take data and a seed")
    wanted = {"fraction": variant.data.fraction, "per_class": variant.data.per_class}
    cut: dict[str, Any] = {key: value for key, value in wanted.items() if value != getattr(DataConfig, key)}
    return load(trial.data[0], **cut, **({"seed": trial.seed} if cut else {}))


def _trained(trial: Trial, dataset: Dataset) -> Accuracy:
    import torch

    from vitbench.measure.accuracy import measure

    if trial.device == "cpu":
        torch.set_num_threads(1)
    (variant,) = trial.variants
    train = variant.train
    if variant.data.same_steps:  # repeated within an epoch: more epochs would mean as many more validations
        own = len(dataset.train)
        dataset = dataset.with_train(torch.arange(own).repeat(max(1, trial.images // own)))
        batch = train.batch_size * train.accumulate
        per_epoch, whole = (max(1, images // batch) for images in (len(dataset.train), trial.images))
        train = dataclasses.replace(train, epochs=math.ceil(train.epochs * whole / per_epoch))
    given = {
        "save_weights_to": trial.save_to,
        "teacher_weights": trial.taught_by,
        "teacher_config": None if trial.teacher is None else trial.teacher.variants[0].model,
    }
    files: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    return measure(_model(variant), train, dataset, seed=trial.seed or 0, device=trial.device, **files)


def latency(trial: Trial, on: On) -> list[Measured]:
    return _session(trial, on)


def train_step(trial: Trial, on: On) -> list[Measured]:
    return _session(trial, on)


def _session(trial: Trial, on: On) -> list[Measured]:
    from vitbench.measure.session import run_session

    mode: Mode = "train_step" if trial.kind == "train_step" else "forward"
    subjects, baseline = _subjects(trial, on, mode), trial.variants[0]
    settings = baseline.measure
    session = run_session(
        subjects,
        baseline=baseline.name,
        blocks=settings.blocks,
        cycles=settings.cycles,
        warmup_s=settings.warmup_s,
        seed=int((trial.session or "0")[:8], 16),
        mode=mode,
    )
    about = {
        "seed": session.seed,
        "order": [block.order for block in session.blocks],
        "pressure": [block.pressure for block in session.blocks],
        "steal": [block.steal for block in session.blocks],
        "load": [block.load for block in session.blocks],
        "block_seconds": [block.seconds for block in session.blocks],
    }
    rows = [Measured(name, *_raw(samples)) for name, samples in session.samples.items()]
    values, samples = _raw(session.control)
    return [*rows, Measured(baseline.name, values | about, samples, control=True)]


def _raw(samples: Samples) -> tuple[dict[str, Any], dict[str, Any]]:
    """Values and samples of a record."""
    values = {"cold_ms": samples.cold_ms, "batch_size": samples.batch_size, "loops": samples.loops}
    return values, {
        "wall": {"unit": "s", "values": samples.wall},
        "cpu": {"unit": "s", "values": samples.cpu},
        "switches": {"unit": "1", "values": samples.switches},
    }


def throughput(trial: Trial, on: On) -> list[Measured]:
    from vitbench.measure.throughput import measure

    subjects, seed = _subjects(trial, on, "forward"), int((trial.session or "0")[:8], 16)
    rates = measure(subjects, window_s=WINDOW_S, windows=WINDOWS, seed=seed)
    sizes = {variant.name: variant.measure.batch_size for variant in trial.variants}
    return [
        Measured(name, {"batch_size": sizes[name], "window_s": WINDOW_S}, {"rate": {"unit": "img/s", "values": rate}})
        for name, rate in rates.items()
    ]


def probe(trial: Trial, on: On) -> None:
    """One call of the only variant in every manner in which it will be timed; turns to "forward", then "train_step"."""
    import torch

    from vitbench.measure.subject import check, place

    modes: tuple[Mode, ...] = ("forward", "train_step")
    for mode in modes:
        on(mode)
        ((name, subject),) = _subjects(trial, lambda _: None, mode).items()
        with torch.inference_mode(mode == "forward"):
            check(name, place(name, subject, mode, 0))


def _model(variant: Variant) -> ModelConfig:
    if variant.model is None:
        raise ValueError(f"{variant.name} has no model: {variant.reason}")
    return variant.model


def _subjects(trial: Trial, on: On, mode: Mode) -> dict[str, Subject]:
    """Model and fixed input of every variant; what is being called stands on the board at any moment."""
    import torch

    from vitbench.measure.prepare import prepared

    torch.set_num_threads(trial.variants[0].measure.threads)
    subjects: dict[str, Subject] = {}
    for variant in trial.variants:
        on(variant.name)
        training = mode == "train_step"
        model, images = prepared(_model(variant), variant.measure, device=trial.device, training=training)
        subjects[variant.name] = _watched(model, images, trial.device, variant, on)
    return subjects


def _watched(model: nn.Module, images: Any, device: str, variant: Variant, on: On) -> Subject:
    """A subject that says whose turn it is: before the first call of each placement, and before each timed one."""
    from vitbench.measure.subject import Subject

    class Watched(Subject):
        def announce(self) -> None:
            on(variant.name)

        def synchronize(self) -> None:
            on(variant.name)
            super().synchronize()

    return Watched(model, images, device, variant.measure.compile)
