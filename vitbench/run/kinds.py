"""What a job does, one function a kind of trial. The only module of this room that meets torch, in a worker process."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitbench.ablation import Variant
from vitbench.config import ModelConfig, as_pair
from vitbench.errors import UserError, unknown
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

    device = _device(wanted["device"])
    return {
        "device": device,
        "torch": _torch_facts(device),
        "data": describe(wanted["data"]).as_dict(),
        "sources": {source: version for source in wanted["sources"] if (version := _source_version(source))},
    }


def _source_version(source: str) -> str | None:
    """A digest of the file that an external model stands in; None where there is none: its trials will say so."""
    try:
        spec = importlib.util.find_spec(source.partition(":")[0])
    except ImportError:
        return None
    return None if spec is None or not spec.has_location else digest(Path(str(spec.origin)).read_bytes().hex())


def _device(wanted: str) -> str:
    import torch

    if wanted not in {"auto", "cpu", "cuda"}:
        raise UserError(unknown("device", wanted, ("auto", "cpu", "cuda")))
    if wanted == "cpu":
        return wanted
    if torch.cuda.is_available():
        return "cuda"
    if wanted == "auto":
        return "cpu"
    why = "sees no GPU" if torch.version.cuda else "is built without CUDA"
    raise UserError(f"device 'cuda' is not available: torch {torch.__version__} {why}; type --device cpu")


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
    import torch

    from vitbench.measure import memory as peak
    from vitbench.models import build

    (variant,) = trial.variants
    config, measure = _model(variant), variant.measure
    values: dict[str, Any] = {"batch_size": measure.batch_size}
    model: nn.Module | ModelConfig = config
    example = None
    if measure.dtype != "float32":
        dtype = getattr(torch, measure.dtype)
        model = build(config).to(dtype)
        example = torch.zeros(1, config.in_chans, *as_pair(config.img_size), dtype=dtype)
    for name, training in (("inference", False), ("training", True)):
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

    subjects, baseline = _subjects(trial, on), trial.variants[0]
    settings = baseline.measure
    session = run_session(
        subjects,
        baseline=baseline.name,
        blocks=settings.blocks,
        cycles=settings.cycles,
        warmup_s=settings.warmup_s,
        seed=int((trial.session or "0")[:8], 16),
        mode=_mode(trial),
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

    rates = measure(_subjects(trial, on), window_s=WINDOW_S, windows=WINDOWS, seed=int((trial.session or "0")[:8], 16))
    sizes = {variant.name: variant.measure.batch_size for variant in trial.variants}
    return [
        Measured(name, {"batch_size": sizes[name], "window_s": WINDOW_S}, {"rate": {"unit": "img/s", "values": rate}})
        for name, rate in rates.items()
    ]


def probe(trial: Trial, on: On) -> None:
    """One call of the only variant in every manner in which it will be timed; turns to "forward", then "train_step"."""
    import torch

    from vitbench.measure.subject import check, place

    ((name, subject),) = _subjects(trial, lambda _: None).items()
    modes: tuple[Mode, ...] = ("forward", "train_step")
    for mode in modes:
        on(mode)
        with torch.inference_mode(mode == "forward"):
            check(name, place(name, subject, mode, 0))


def _mode(trial: Trial) -> Mode:
    return "train_step" if trial.kind == "train_step" else "forward"


def _model(variant: Variant) -> ModelConfig:
    if variant.model is None:
        raise ValueError(f"{variant.name} has no model: {variant.reason}")
    return variant.model


def _subjects(trial: Trial, on: On) -> dict[str, Subject]:
    """Model and fixed input of every variant; what is being called stands on the board at any moment."""
    import torch

    from vitbench.models import build

    torch.set_num_threads(trial.variants[0].measure.threads)
    subjects: dict[str, Subject] = {}
    for variant in trial.variants:
        on(variant.name)
        config, measure = _model(variant), variant.measure
        dtype = getattr(torch, measure.dtype)
        torch.manual_seed(0)
        shape = (measure.batch_size, config.in_chans, *as_pair(config.img_size))
        example = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(trial.device, dtype)
        subjects[variant.name] = _watched(
            build(config).to(trial.device, dtype), example, trial.device, variant.name, on
        )
    return subjects


def _watched(model: nn.Module, example: Any, device: str, name: str, on: On) -> Subject:
    """A subject that says whose turn it is: on the first call of each placement, and before each timed call."""
    from vitbench.measure.subject import Subject

    class Watched(Subject):
        def synchronize(self) -> None:
            on(name)
            super().synchronize()

    model.register_forward_pre_hook(_FirstCall(lambda: on(name)))
    return Watched(model, example, device)


class _FirstCall:
    """A hook that acts once in each copy of a module and then is gone, so that no timed call meets it."""

    def __init__(self, act: Callable[[], None]) -> None:
        self.act = act

    def __call__(self, module: nn.Module, _args: Any) -> None:
        self.act()
        hooks = module._forward_pre_hooks  # noqa: SLF001  # a copied module's hooks have no handle
        for key in [key for key, hook in hooks.items() if hook is self]:
            del hooks[key]

    def __deepcopy__(self, _memo: Any) -> _FirstCall:
        return self
