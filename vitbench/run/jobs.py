"""What a job does, one function a kind of trial. With ``surveying`` all of this room that meets torch, in a worker."""

from __future__ import annotations

import dataclasses
import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vitbench.declare.data import DataConfig
from vitbench.declare.model import ModelConfig
from vitbench.declare.variant import Variant
from vitbench.run.executors.job import On
from vitbench.run.planning.trial import WINDOW_S, WINDOWS, Trial
from vitbench.utils.errors import UserError

if TYPE_CHECKING:
    from torch import nn

    from vitbench.data.dataset import Dataset
    from vitbench.measure.accuracy import Accuracy
    from vitbench.measure.timing.session import Samples
    from vitbench.measure.timing.subject import Mode, Subject
    from vitbench.train.checkpoint import TrainingCheckpoint


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
        "macs_backward": counts.macs_backward,
        "by_module_backward": dict(counts.by_module_backward),
    }
    return [Measured(variant.name, values)]


def memory(trial: Trial, _on: On) -> list[Measured]:
    from vitbench.measure import memory as peak
    from vitbench.measure.peak_memory.ledger import measured
    from vitbench.measure.prepare import modelled

    (variant,) = trial.variants
    measure = variant.measure
    values: dict[str, Any] = {"batch_size": measure.batch_size}
    for name, training in (("inference", False), ("training", True)):
        model, example = modelled(_model(variant), measure, training=training)
        found = peak(model, batch_size=measure.batch_size, training=training, example=example)
        values[name] = dataclasses.asdict(found)
        if not training:
            values["traffic"] = _traffic(model, measure.batch_size, example)
    peaks = {name: values[name]["bytes"] for name in ("inference", "training")}
    values |= measured(_model(variant), measure, device=trial.device, modelled=peaks)
    return [Measured(variant.name, values)]


def _traffic(model: Any, batch_size: int, example: Any) -> dict[str, Any]:
    """Bytes that a forward pass moves, or why they cannot be counted."""
    from vitbench.measure.roofline.memory_traffic import traffic

    try:
        return dataclasses.asdict(traffic(model, batch_size, example))
    except UserError as error:
        return {"reason": str(error)}


def ceiling(trial: Trial, _on: On) -> list[Measured]:
    from vitbench.measure.roofline.ceilings import ceilings

    (variant,) = trial.variants
    settings = trial.settings(variant)
    return [Measured(variant.name, *ceilings(**settings).record())]


def accuracy(trial: Trial, _on: On) -> list[Measured]:
    found = _trained(trial, _dataset(trial))
    return [Measured(trial.variants[0].name, dict(found.values), dict(found.samples), dict(found.arrays))]


OF_A_TRY = ("val_accuracy", "train_seconds", "total_seconds", "epochs", "steps", "resumed", "started_over")
"""What is kept of a tuning's try."""


def tuning(trial: Trial, _on: On) -> list[Measured]:
    """A try: trained as ever, judged by the validation split; it never holds the test split. Diverging is a result."""
    from vitbench.train import Diverged

    dataset = _dataset(trial)
    blind = dataclasses.replace(dataset, test=dataset.val)
    values: dict[str, Any]
    try:
        found = _trained(trial, blind)
        values = {"diverged": False, **{key: found.values[key] for key in OF_A_TRY if key in found.values}}
    except Diverged as error:
        values = {"diverged": True, "val_accuracy": None, "said": str(error)}
    return [Measured(trial.variants[0].name, values)]


def _dataset(trial: Trial) -> Dataset:
    """The data set at the variant's resolution, its training split cut as it asks, by the trial's seed."""
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
    if variant.data.same_steps:  # repeated within an epoch: more epochs would mean as many more validations
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
    return measure(_model(variant), train, dataset, seed=trial.seed or 0, device=trial.device, **files)


def _checkpoint(trial: Trial) -> TrainingCheckpoint | None:
    from vitbench.train.checkpoint import EVERY_S, TrainingCheckpoint

    if trial.checkpoint is None:
        return None
    every_s = EVERY_S if trial.checkpoint_every_s is None else trial.checkpoint_every_s
    return TrainingCheckpoint(trial.checkpoint, trial.only_id, every_s)


def latency(trial: Trial, on: On) -> list[Measured]:
    return _session(trial, on)


def train_step(trial: Trial, on: On) -> list[Measured]:
    return _session(trial, on)


def _session(trial: Trial, on: On) -> list[Measured]:
    from vitbench.measure.timing import host_load
    from vitbench.measure.timing.session import run_session
    from vitbench.stats import interim_looks

    mode: Mode = "train_step" if trial.kind == "train_step" else "forward"
    subjects, baseline = _subjects(trial, on, mode), trial.variants[0]
    settings = baseline.measure
    session = run_session(
        subjects,
        baseline=baseline.name,
        blocks=list(itertools.islice(interim_looks(settings.blocks), settings.looks))[-1],
        cycles=settings.cycles if trial.cycles is None else trial.cycles,
        warmup_s=settings.warmup_s,
        target=settings.target if settings.looks > 1 else None,
        first_look=settings.blocks,
        budget_s=settings.budget_s if trial.cycles is None else None,
        minimum_blocks=settings.blocks,
        placement=settings.placement if mode == "forward" else "own",
        seed=int((trial.session or "0")[:8], 16) + trial.process,
        mode=mode,
    )
    about = {
        "seed": session.seed,
        "looks": session.looks,
        "stop_reason": session.stop_reason,
        "level": session.level,
        "placement": session.placement,
        "allocator": host_load.allocator(),
        "order": [block.order for block in session.blocks],
        "pressure": [block.pressure for block in session.blocks],
        "steal": [block.steal for block in session.blocks],
        "load": [block.load for block in session.blocks],
        "block_seconds": [block.seconds for block in session.blocks],
    }
    raw = {name: _raw(samples) for name, samples in session.samples.items()}
    rows = [
        Measured(name, values | {"placement": session.placement}, samples) for name, (values, samples) in raw.items()
    ]
    values, samples = _raw(session.control)
    return [*rows, Measured(baseline.name, values | about, samples, control=True)]


def _raw(samples: Samples) -> tuple[dict[str, Any], dict[str, Any]]:
    """Values and samples of a record."""
    values = {"cold_ms": samples.cold_ms, "batch_size": samples.batch_size, "loops": samples.loops}
    return values, {
        "wall": {"unit": "s", "values": samples.wall},
        "cpu": {"unit": "s", "values": samples.cpu},
        "switches": {"unit": "1", "values": samples.switches},
        **{name: {"unit": "s", "values": seconds} for name, seconds in samples.phases.items()},
        **({} if samples.device is None else {"device": {"unit": "s", "values": samples.device}}),
    }


def throughput(trial: Trial, on: On) -> list[Measured]:
    from vitbench.measure.energy import Meter
    from vitbench.measure.timing.throughput import measure

    meter = Meter(trial.device)
    subjects, seed = _subjects(trial, on, "forward"), int((trial.session or "0")[:8], 16) + trial.process
    rates = measure(subjects, window_s=WINDOW_S, windows=WINDOWS, seed=seed, meter=meter)
    sizes = {variant.name: variant.measure.batch_size for variant in trial.variants}
    found = []
    for name, rate in rates.items():
        joules, energy = meter.per_image(name)
        samples = {"rate": {"unit": "img/s", "values": rate}}
        samples |= {"energy": {"unit": "J/img", "values": joules}} if joules else {}
        values = {"batch_size": sizes[name], "window_s": WINDOW_S, "energy": energy}
        found.append(Measured(name, values, samples))
    return found


def probe(trial: Trial, on: On) -> None:
    """One call of the only variant in every manner in which it will be timed; turns to "forward", then "train_step"."""
    import torch

    from vitbench.measure.timing.subject import check, place

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
    from vitbench.measure.timing.subject import Subject

    class Watched(Subject):
        def announce(self) -> None:
            on(variant.name)

    return Watched(model, images, device, variant.measure.compile)
