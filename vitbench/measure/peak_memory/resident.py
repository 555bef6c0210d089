"""Pages that the kernel really gives a step: resident memory, measured in a fresh child process.

The child starts with ``MALLOC_MMAP_THRESHOLD_=4096 MALLOC_TRIM_THRESHOLD_=0``, so that what is freed goes back to the
kernel at once; without them resident memory is 11 to 50 % off. It runs a warm step, writes 5 to
``/proc/self/clear_refs``, which resets the high-water mark, and runs the step: the rise is ``VmHWM`` after it minus
``VmRSS`` before. To that are added the bytes held before the step (parameters, images, the optimiser's state), so that
the number stands beside allocated and modelled ones. Pages of the interpreter and of libraries are left out, and so is
whatever the parent holds: ``ru_maxrss``, the usual number, would count both.
Example: a child of a process of 1 GiB reads the same as the child of a small one.
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
"""What makes glibc give back what is freed; it is read when a process starts."""

CLEAR = Path("/proc/self/clear_refs")
STATUS = Path("/proc/self/status")
RESET_PEAK = "5"


def in_a_child(
    config: ModelConfig, settings: MeasureConfig, ways: tuple[Way, ...], *, device: str, training: bool
) -> dict[Way, Any]:
    """Runs the step in a fresh process and measures it in these ways, each on a step of its own.

    Returns:
        ``resident``: ``{"step": bytes it added, "held": bytes before it}``; ``allocated``: bytes; ``gpu``: the fields
        of ``GpuMemory``.

    Raises:
        UserError: the child ended without a result, with what it said last; or there is no clear_refs here.
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
    said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    ended = f"signal {-done.returncode}" if done.returncode < 0 else f"exit status {done.returncode}"
    raise UserError(f"the process that was to be measured ended with {ended}{': ' + said[-1] if said else ''}")


def child() -> None:
    """Reads what is wanted from standard input, and writes what was found as the last line of standard output."""
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
    print(f"\n{json.dumps(found)}", flush=True)  # noqa: T201  # the answer


def rise(step: Any) -> int:
    """Bytes by which a call raises this process' resident memory at its highest.

    Raises:
        UserError: the kernel offers no way to reset the high-water mark.
    """
    try:
        CLEAR.write_text(RESET_PEAK)
    except OSError as error:
        raise UserError(f"resident memory is not available here: {CLEAR}: {error.strerror}") from error
    before = _status("VmRSS")
    step()
    return max(0, _status("VmHWM") - before)


def _status(field: str) -> int:
    """Bytes of this process, as the kernel keeps them."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024
