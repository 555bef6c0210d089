"""The largest batch that fits into memory: predicted from modelled memory, then confirmed in a separate process.

On a CPU, the kernel limits the process to a share of the available memory (``RLIMIT_DATA``), so that a batch that does
not fit harms no other process. On a GPU, the limit is the free memory.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitbench.declare.measure import MeasureConfig
from vitbench.declare.model import ModelConfig
from vitbench.declare.serialize import as_dict, from_dict
from vitbench.devices import device_of
from vitbench.utils.errors import UserError
from vitbench.utils.threads import environment

SHARE = 0.8
"""Share of the available memory that a process on the CPU may take."""

STEP, TRIES = 0.9, 8
FITS, DOES_NOT = "fits", "does not fit"
TIMEOUT_S = 600.0


@dataclass(frozen=True)
class LargestBatch:
    """The predicted and the confirmed largest batch of a forward pass, in images."""

    predicted: int  # from modelled memory
    confirmed: int | None  # the largest that ran; None: none did
    limit_bytes: int
    tried: dict[int, str]  # batch size → result


def available_bytes(device: str) -> int:
    """The available memory in bytes: of the GPU, or of this machine within its control group.

    Raises:
        UserError: the device does not report it.
    """
    free = device_of(device).free_memory()
    if free is None:
        raise UserError(f"the available memory of device {device!r} is unknown")
    if device != "cpu":
        return free
    try:
        limit, used = (Path(f"/sys/fs/cgroup/memory.{name}").read_text().strip() for name in ("max", "current"))
    except OSError:
        return free
    return free if limit == "max" else max(0, min(free, int(limit) - int(used)))


def predict(config: ModelConfig, settings: MeasureConfig, limit_bytes: int) -> int:
    """The largest batch whose modelled peak is within the limit; the peak is linear in the batch size.

    Raises:
        UserError: not even one image fits.
    """
    from vitbench.measure.peak_memory.modelled import memory
    from vitbench.measure.prepare import modelled

    model, example = modelled(config, settings, training=False)
    low, high = (memory(model, batch_size=n, example=example).bytes for n in (8, 16))
    per_image = (high - low) / 8
    batch = int((limit_bytes - (low - 8 * per_image)) / per_image) if per_image > 0 else 0
    if batch < 1:
        raise UserError(f"not even one image fits into {limit_bytes / 2**20:.0f} MiB: its parameters alone need more")
    return batch


def largest_batch(
    config: ModelConfig, settings: MeasureConfig, *, device: str = "cpu", limit_bytes: int | None = None
) -> LargestBatch:
    """The largest batch of a forward pass: the prediction, then smaller batches, or larger ones while they fit.

    Args:
        config: the model.
        settings: dtype, threads and so on; the batch size is not used.
        device: ``cpu`` or ``cuda``.
        limit_bytes: memory limit; None: the free memory of the GPU, or 80 % of the machine's available memory.

    Raises:
        UserError: not even one image fits, or the model fails for another reason.
    """
    if limit_bytes is None:
        limit_bytes = int(available_bytes(device) * (1.0 if device == "cuda" else SHARE))
    batch = predicted = predict(config, settings, limit_bytes)
    tried: dict[int, str] = {}
    best: int | None = None
    for _ in range(TRIES):
        tried[batch] = _attempt(config, settings, device, batch, limit_bytes)
        if tried[batch] == FITS:
            best = batch
            batch = max(batch + 1, round(batch / STEP))
        else:
            batch = min(batch - 1, int(batch * STEP))
        if batch < 1 or batch in tried or (best is not None and DOES_NOT in tried.values()):
            break
    return LargestBatch(predicted, best, limit_bytes, tried)


def _attempt(config: ModelConfig, settings: MeasureConfig, device: str, batch: int, limit_bytes: int) -> str:
    """Runs one batch in a process of its own."""
    payload = {
        "module": type(config).__module__,
        "config": as_dict(config),
        "settings": {**as_dict(settings), "batch_size": batch},
        "device": device,
        "limit": limit_bytes if device == "cpu" else None,
        "path": sys.path,
    }
    try:
        done = subprocess.run(  # this interpreter, our code
            [sys.executable, "-m", "vitbench.measure.peak_memory.largest_batch"],
            input=json.dumps(payload),
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
            env={**os.environ, **environment(settings.threads)},
        )
    except subprocess.TimeoutExpired:
        return f"took over {TIMEOUT_S:g} s"
    if done.returncode < 0 or (done.returncode == 1 and DOES_NOT in done.stdout):
        return DOES_NOT
    if done.returncode != 0:
        last = (done.stdout + done.stderr).strip().splitlines()[-1:]
        raise UserError(f"a batch of {batch} fails for another reason than memory: {' '.join(last)}")
    return FITS


def attempt(payload: dict[str, Any]) -> bool:
    """Whether a forward pass of the batch runs within the limit; the limit remains on this process."""
    sys.path[:] = payload["path"]
    import torch

    from vitbench.measure.prepare import prepared
    from vitbench.measure.side_by_side import OUT_OF_MEMORY
    from vitbench.measure.timing.subject import check

    importlib.import_module(payload["module"])  # registers the family, where it is not one of vitbench's own
    config, settings = from_dict(payload["config"]), from_dict(payload["settings"])
    torch.set_num_threads(settings.threads)  # type: ignore[union-attr]  # it is a MeasureConfig
    if payload["limit"] is not None:
        _limit(payload["limit"])
    try:
        model, images = prepared(config, settings, device=payload["device"])  # type: ignore[arg-type]  # as above
        with torch.inference_mode():
            check("the model", lambda: model.eval()(images))
            device_of(payload["device"]).synchronize()
    except Exception as error:
        message = f"{error} {error.__cause__}".lower()
        if isinstance(error, MemoryError) or any(words in message for words in OUT_OF_MEMORY):
            return False
        raise
    return True


def _limit(extra: int) -> None:
    """Limits this process to ``extra`` bytes more than it has now."""
    import resource

    current = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData"))
    limit = int(current.split()[1]) * 1024 + extra
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


if __name__ == "__main__":
    fits = attempt(json.load(sys.stdin))
    sys.stdout.write(FITS if fits else DOES_NOT)
    sys.exit(0 if fits else 1)
