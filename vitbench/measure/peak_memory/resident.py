"""Peak resident memory of a step, measured in a fresh child process.

The child starts with ``MALLOC_MMAP_THRESHOLD_=4096 MALLOC_TRIM_THRESHOLD_=0``, so that freed memory returns to the
kernel at once; without them resident memory is 11 to 50 % off. After a warm-up step, the child writes 5 to
``/proc/self/clear_refs``, which resets the high-water mark, and runs the step. The increase is ``VmHWM`` after the step
minus ``VmRSS`` before. The bytes held before the step (parameters, images, optimiser state) are added to it, so that
the result is comparable with allocated and modelled memory. Unlike the usual ``ru_maxrss``, it counts neither pages of
the interpreter and libraries nor memory inherited from the parent.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from vitbench.declare.measure import MeasureConfig
from vitbench.declare.model import ModelConfig
from vitbench.declare.serialize import as_dict, from_dict
from vitbench.utils.errors import UserError
from vitbench.utils.threads import environment

Way: TypeAlias = Literal["resident", "allocated", "gpu"]
MODES: Mapping[str, bool] = {"inference": False, "training": True}

ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "4096", "MALLOC_TRIM_THRESHOLD_": "0"}
"""Environment that makes glibc return freed memory to the kernel; it is read when a process starts."""

CLEAR = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")
RESET_PEAK = "5"


def run_in_child(
    config: ModelConfig, settings: MeasureConfig, ways: tuple[Way, ...], *, device: str, training: bool
) -> dict[Way, Any]:
    """Peak memory of a step by each of ``ways``, each on a separate step in one fresh process.

    Returns:
        ``resident``: ``{"step": bytes added by the step, "held": bytes before it}``; ``allocated``: bytes; ``gpu``: the
        fields of ``GpuMemory``.

    Raises:
        UserError: the child ended without a result; the message has the child's last line.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("GLIBC_TUNABLES", "MALLOC_"))}
    code = f"import sys; sys.path[:] = {sys.path!r}; from vitbench.measure.peak_memory.resident import child; child()"
    wanted = {
        "module": type(config).__module__,
        "config": as_dict(config),
        "settings": as_dict(settings),
        "ways": ways,
        "device": device,
        "training": training,
    }
    done = subprocess.run(  # noqa: S603  # this interpreter, our code
        [sys.executable, "-c", code],
        input=json.dumps(wanted),
        capture_output=True,
        text=True,
        env={**kept, **environment(settings.threads), **ALLOCATOR},
        check=False,
    )
    *_, last = done.stdout.splitlines() or [""]
    if done.returncode == 0 and last.startswith("{"):
        return cast("dict[Way, Any]", json.loads(last))
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    ended = f"signal {-done.returncode}" if done.returncode < 0 else f"exit status {done.returncode}"
    raise UserError(f"the measured process ended with {ended}{': ' + lines[-1] if lines else ''}")


def child() -> None:
    """Reads the request from standard input and writes the results as the last line of standard output."""
    import torch

    from vitbench.measure.peak_memory.allocated import allocated
    from vitbench.measure.peak_memory.gpu import gpu_memory
    from vitbench.measure.peak_memory.real_step import real_step

    wanted = json.loads(sys.stdin.read())
    settings = cast("MeasureConfig", from_dict(wanted["settings"]))
    torch.set_num_threads(settings.threads)
    importlib.import_module(wanted["module"])  # registers the family, where it is not one of vitbench's own
    config = cast("ModelConfig", from_dict(wanted["config"]))
    step = real_step(config, settings, device=wanted["device"], training=wanted["training"])
    found: dict[str, Any] = {}
    for way in wanted["ways"]:
        if way == "resident":
            step.warm_up()
            found[way] = {"step": rise(step.run), "held": step.held_bytes()}
        else:
            found[way] = allocated(step) if way == "allocated" else vars(gpu_memory(step, wanted["device"]))
    print(f"\n{json.dumps(found)}", flush=True)  # noqa: T201  # the result


def rise(step: Any) -> int:
    """The increase of this process's peak resident memory during a call, in bytes.

    Raises:
        UserError: the kernel cannot reset the high-water mark.
    """
    try:
        CLEAR.write_text(RESET_PEAK)
    except OSError as error:
        raise UserError(f"resident memory is not available here: {CLEAR}: {error.strerror}") from error
    before = _status("VmRSS")
    step()
    return max(0, _status("VmHWM") - before)


def _status(field: str) -> int:
    """A memory field of /proc/self/status, in bytes."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024
