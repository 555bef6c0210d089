"""The measuring functions of counts, memory and timings, as jobs: they run in a worker, the only place with torch."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vitbench.declare.model import ModelConfig
from vitbench.declare.quantities.throughput import WINDOW_S, WINDOWS
from vitbench.declare.variant import Variant
from vitbench.run.executors.job import ReportProgress
from vitbench.run.planning.trial import Trial
from vitbench.utils.errors import UserError

if TYPE_CHECKING:
    from torch import nn

    from vitbench.measure.timing.session import Samples
    from vitbench.measure.timing.subject import Mode, Subject


@dataclass(frozen=True)
class Measured:
    """What a trial measured of one variant.

    Attributes:
        variant: its name.
        values: plain values, kept in the record.
        samples: name → ``{"unit": str, "values": nested lists}``: raw samples, kept in the record.
        arrays: name → array, kept in a file beside the records.
        control: whether it is the baseline's clone in a timing session.
    """

    variant: str
    values: dict[str, Any] = field(default_factory=dict)
    samples: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, Any] = field(default_factory=dict)
    control: bool = False


def cost(trial: Trial, _on: ReportProgress) -> list[Measured]:
    from vitbench.measure import count

    (variant,) = trial.variants
    counts = count(model_of(variant))
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


def memory(trial: Trial, _on: ReportProgress) -> list[Measured]:
    from vitbench.measure import memory as peak
    from vitbench.measure.peak_memory.all_methods import measured
    from vitbench.measure.prepare import modelled

    (variant,) = trial.variants
    measure = variant.measure
    values: dict[str, Any] = {"batch_size": measure.batch_size}
    for name, training in (("inference", False), ("training", True)):
        model, example = modelled(model_of(variant), measure, training=training)
        found = peak(model, batch_size=measure.batch_size, training=training, example=example)
        values[name] = dataclasses.asdict(found)
        if not training:
            values["traffic"] = _traffic(model, measure.batch_size, example)
    peaks = {name: values[name]["bytes"] for name in ("inference", "training")}
    values |= measured(model_of(variant), measure, device=trial.device, modelled=peaks)
    return [Measured(variant.name, values)]


def _traffic(model: Any, batch_size: int, example: Any) -> dict[str, Any]:
    """The bytes that a forward pass moves, or the reason why they cannot be counted."""
    from vitbench.measure.roofline.memory_traffic import traffic

    try:
        return dataclasses.asdict(traffic(model, batch_size, example))
    except UserError as error:
        return {"reason": str(error)}


def ceiling(trial: Trial, _on: ReportProgress) -> list[Measured]:
    from vitbench.measure.roofline.ceilings import ceilings

    (variant,) = trial.variants
    settings = trial.settings(variant)
    return [Measured(variant.name, *ceilings(**settings).record())]


def latency(trial: Trial, on: ReportProgress) -> list[Measured]:
    return _session(trial, on, "forward")


def train_step(trial: Trial, on: ReportProgress) -> list[Measured]:
    return _session(trial, on, "train_step")


def _session(trial: Trial, on: ReportProgress, mode: Mode) -> list[Measured]:
    from vitbench.measure.timing import host_load
    from vitbench.measure.timing.session import run_session
    from vitbench.stats import interim_looks

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
    """The values and samples of a timing's record."""
    values = {"cold_ms": samples.cold_ms, "batch_size": samples.batch_size, "loops": samples.loops}
    return values, {
        "wall": {"unit": "s", "values": samples.wall},
        "cpu": {"unit": "s", "values": samples.cpu},
        "switches": {"unit": "1", "values": samples.switches},
        **{name: {"unit": "s", "values": seconds} for name, seconds in samples.phases.items()},
        **({} if samples.device is None else {"device": {"unit": "s", "values": samples.device}}),
    }


def throughput(trial: Trial, on: ReportProgress) -> list[Measured]:
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


def probe(trial: Trial, on: ReportProgress) -> None:
    """Calls the only variant once in each mode in which it will be timed; tells ``on`` the mode before each call."""
    import torch

    from vitbench.measure.timing.subject import check, place

    modes: tuple[Mode, ...] = ("forward", "train_step")
    for mode in modes:
        on(mode)
        ((name, subject),) = _subjects(trial, lambda _: None, mode).items()
        with torch.inference_mode(mode == "forward"):
            check(name, place(name, subject, mode, 0))


def model_of(variant: Variant) -> ModelConfig:
    """The config of a variant that can be built."""
    if variant.model is None:
        raise ValueError(f"{variant.name} has no model: {variant.reason}")
    return variant.model


def _subjects(trial: Trial, on: ReportProgress, mode: Mode) -> dict[str, Subject]:
    """The model and fixed input of every variant; ``on`` is told the variant before each is built or called."""
    import torch

    from vitbench.measure.prepare import prepared

    torch.set_num_threads(trial.variants[0].measure.threads)
    subjects: dict[str, Subject] = {}
    for variant in trial.variants:
        on(variant.name)
        training = mode == "train_step"
        model, images = prepared(model_of(variant), variant.measure, device=trial.device, training=training)
        subjects[variant.name] = _announced(model, images, trial.device, variant, on)
    return subjects


def _announced(model: nn.Module, images: Any, device: str, variant: Variant, on: ReportProgress) -> Subject:
    """A subject that tells ``on`` the variant before each placement's first call and before each timed call."""
    from vitbench.measure.timing.subject import Subject

    class Announced(Subject):
        def announce(self) -> None:
            on(variant.name)

    return Announced(model, images, device, variant.measure.compile)
