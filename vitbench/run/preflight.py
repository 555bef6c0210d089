"""What must be known before a run is planned and only a process with torch can say: about data, device and torch."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vitbench.declare import zoo
from vitbench.declare.external import LIBRARIES
from vitbench.records.identity import digest
from vitbench.run.executors import run_all
from vitbench.run.executors.job import Job, ReportProgress
from vitbench.run.executors.protocol import Executor
from vitbench.run.planning.trials import Preflight
from vitbench.utils.errors import UserError

CHECKPOINTS = (".safetensors", ".pth", ".pt", ".bin", ".npz", ".tar")
"""File name suffixes of checkpoints."""

SDP = ("flash", "mem_efficient", "math")
"""Kernels that scaled_dot_product_attention may choose from."""


def run_preflight(executor: Executor, data: str, device: str = "cpu", sources: Sequence[str] = ()) -> Preflight:
    """Describes the data set, the device, and the external models and checkpoints, in a worker.

    Args:
        executor: the executor whose worker does it.
        data: the name of the data set.
        device: ``cpu``, ``cuda`` or ``auto``.
        sources: external models and checkpoints, whose files are part of the ids of records.

    Raises:
        UserError: there is no such data set, checkpoint or device.
    """
    request = {"data": data, "device": device, "sources": list(sources)}
    gpus = {"cpu": 0, "cuda": 1}.get(device, min(1, executor.gpus))
    job = Job(function="vitbench.run.preflight:describe", payload=request, spawn=device != "cpu", gpus=gpus)
    ((_, result),) = run_all(executor, [job])
    if result.status != "ok":
        raise UserError(result.reason or result.status)
    return Preflight(**result.value)


def describe(request: Mapping[str, Any], _on: ReportProgress) -> dict[str, Any]:
    """The fields of a ``Preflight``; runs in the worker.

    Raises:
        UserError: there is no such data set, checkpoint or device.
    """
    from vitbench.data import describe as describe_data
    from vitbench.devices import device_of, resolve_device

    device = resolve_device(request["device"])
    return {
        "device": device,
        "torch": torch_facts(device, _on),
        "gpu_bytes": device_of(device).total_memories(),
        "data": describe_data(request["data"]).as_dict(),
        "sources": {source: version for source in request["sources"] if (version := source_version(source))},
    }


def source_version(source: str) -> str | None:
    """A string that changes with an external model or checkpoint; None if nothing is found.

    This is the version of a library, or the digest of a checkpoint or of the file that defines the model. If nothing is
    found, the trials of the model will say so.
    """
    package, _, rest = source.partition(":")
    for path in (Path(source), *([Path(rest)] if package in zoo.names() else [])):  # "zoo name:file"
        if path.is_file():
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()[:20]
    if Path(source).suffix in CHECKPOINTS:
        raise UserError(f"there is no checkpoint {source}: type the path of a file that exists")
    if package in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(package)
    try:
        spec = importlib.util.find_spec(package)
    except ImportError:
        return None
    return None if spec is None or not spec.has_location else digest(Path(str(spec.origin)).read_bytes().hex())


def torch_facts(device: str, _on: ReportProgress) -> dict[str, Any]:
    """The part of an environment that concerns torch and the device."""
    import torch

    from vitbench.devices import device_of

    found: dict[str, Any] = {
        "version": str(torch.__version__),  # a class of torch's: unpickling it would import torch
        "config": torch.__config__.show().strip(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "attention": {name: getattr(torch.backends.cuda, f"{name}_sdp_enabled")() for name in SDP},
    }
    if gpu := device_of(device).facts():
        found["gpu"] = gpu
    return found
