"""What a job does, one function a kind of trial. The only module of this room that meets torch, in a worker process."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitbench.ablation import Variant
from vitbench.config import LIBRARIES, ModelConfig
from vitbench.records import digest
from vitbench.run.job import On
from vitbench.run.trial import WINDOW_S, WINDOWS, Trial

if TYPE_CHECKING:
    from torch import nn

    from vitbench.measure.session import Samples
    from vitbench.measure.subject import Mode, Subject

SDP = ("flash", "mem_efficient", "math")
"""Kernels that attention may choose from."""


@dataclass(frozen=True)
class Measured:
    """What a trial found out about one variant: the middle of a record, and arrays for its artifact."""

    variant: str
    values: dict[str, Any]
    samples: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, Any] = field(default_factory=dict)
    control: bool = False  # it is the baseline's clone


def survey(wanted: Mapping[str, Any], _on: On) -> dict[str, Any]:
    """What only a process with torch can say: the data set's description, the device that is there, facts of torch.

    Raises:
        UserError: no such data set, or no such device here.
    """
    from vitbench.data import describe
    from vitbench.measure.prepare import available

    device = available(wanted["device"])
    return {
        "device": device,
        "torch": _torch_facts(device),
        "data": describe(wanted["data"]).as_dict(),
        "sources": {source: version for source in wanted["sources"] if (version := _source_version(source))},
    }


def _source_version(source: str) -> str | None:
    """What tells one state of an external model's code from another; None where there is none: its trials will say so.

    The version of a library, else a digest of the file that the model stands in.
    """
    package = source.partition(":")[0]
    if package in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(package)
    try:
        spec = importlib.util.find_spec(package)
    except ImportError:
        return None
    return None if spec is None or not spec.has_location else digest(Path(str(spec.origin)).read_bytes().hex())


def _torch_facts(device: str) -> dict[str, Any]:
    import torch

    facts: dict[str, Any] = {
        "version": str(torch.__version__),  # a class of torch's: unpickling it would import torch
        "config": torch.__config__.show().strip(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "attention": {name: getattr(torch.backends.cuda, f"{name}_sdp_enabled")() for name in SDP},
    }
    if device == "cuda":
        cudnn: Any = torch.backends.cudnn
        card = torch.cuda.get_device_properties(0)
        facts["gpu"] = {
            "name": card.name,
            "memory_mib": card.total_memory // 2**20,
            "capability": f"{card.major}.{card.minor}",
            "cuda": torch.version.cuda,
            "cudnn": cudnn.version(),
            "cudnn_benchmark": cudnn.benchmark,
            "tf32": {"matmul": torch.backends.cuda.matmul.allow_tf32, "cudnn": cudnn.allow_tf32},
        }
    return facts


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
    import torch

    from vitbench.data import load
    from vitbench.measure.accuracy import measure

    if trial.device == "cpu":
        torch.set_num_threads(1)
    (variant,) = trial.variants
    if trial.data is None or trial.seed is None:
        raise ValueError("an accuracy trial takes data and a seed")
    found = measure(_model(variant), variant.train, load(trial.data[0]), seed=trial.seed, device=trial.device)
    return [Measured(variant.name, dict(found.values), dict(found.samples), dict(found.arrays))]


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
