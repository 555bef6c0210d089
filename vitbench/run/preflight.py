"""What must be known before a run is planned and only a process with torch can say."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vitbench.declare import zoo
from vitbench.declare.external import LIBRARIES
from vitbench.records.identity import digest
from vitbench.run.executors.job import On
from vitbench.utils.errors import UserError

CHECKPOINTS = (".safetensors", ".pth", ".pt", ".bin", ".npz", ".tar")
"""What a checkpoint's file name ends with."""

SDP = ("flash", "mem_efficient", "math")
"""Kernels that attention may choose from."""


def survey(wanted: Mapping[str, Any], _on: On) -> dict[str, Any]:
    """What only a process with torch can say: the data set's description, the device that is there, facts of torch.

    Raises:
        UserError: no such data set, no such checkpoint, or no such device here.
    """
    from vitbench.data import describe
    from vitbench.devices import device_of, resolve_device

    device = resolve_device(wanted["device"])
    return {
        "device": device,
        "torch": facts(device, _on),
        "cards": device_of(device).total_memories(),
        "data": describe(wanted["data"]).as_dict(),
        "sources": {source: version for source in wanted["sources"] if (version := _source_version(source))},
    }


def _source_version(source: str) -> str | None:
    """What tells one state of an external model or a checkpoint from another; None where there is none.

    The version of a library, a digest of a checkpoint's file, else of the file that the model stands in. Where a model
    has none its trials will say so.
    """
    package, _, rest = source.partition(":")
    for path in (Path(source), *([Path(rest)] if package in zoo.names() else [])):  # "zoo name:file"
        if path.is_file():
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()[:20]
    if Path(source).suffix in CHECKPOINTS:
        raise UserError(f"no checkpoint {source}: give the path of a file that exists")
    if package in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(package)
    try:
        spec = importlib.util.find_spec(package)
    except ImportError:
        return None
    return None if spec is None or not spec.has_location else digest(Path(str(spec.origin)).read_bytes().hex())


def facts(device: str, _on: On) -> dict[str, Any]:
    """What torch says of itself and of a device that is there: the torch part of an environment."""
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
