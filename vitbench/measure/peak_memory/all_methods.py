"""Peak memory of real steps in bytes, by every method: allocated, resident, reserved, process, and closed form.

These are different quantities (docs/memory.md). A quantity that cannot be measured is None, with a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

from vitbench.declare.measure import MeasureConfig
from vitbench.declare.model import ModelConfig
from vitbench.measure.peak_memory.allocated import allocated
from vitbench.measure.peak_memory.closed_form import closed_form
from vitbench.measure.peak_memory.real_step import real_step, why_not_run
from vitbench.measure.peak_memory.resident import MODES, Way, run_in_child
from vitbench.utils.errors import UserError
from vitbench.utils.threads import torch_threads

Entry: TypeAlias = dict[str, Any]
"""Bytes or None for ``inference`` and ``training``, and ``reason`` if one is None."""

OFF = "measure.resident is off, because a separate process takes seconds"
NO_GPU = "no such device: the step runs on the CPU"
ON_GPU = "the step runs on a GPU: see the GPU's columns"


def measured(
    config: ModelConfig, settings: MeasureConfig, *, device: str, modelled: Mapping[str, int]
) -> dict[str, Entry]:
    """Peak memory of real steps by every method that the device supports.

    Args:
        config: the model.
        settings: batch size, dtype, threads; ``resident`` also measures resident memory, in a separate process.
        device: ``cpu`` or ``cuda``.
        modelled: modelled peaks of ``inference`` and ``training``; a step that would not fit is not run.

    Returns:
        ``allocated``, ``resident``, ``reserved``, ``process``, and ``closed_form`` if a formula covers the model.
    """
    found: dict[str, Entry] = {name: {} for name in ("allocated", "resident", "reserved", "process")}
    for mode, training in MODES.items():
        too_large = why_not_run(modelled[mode]) if device == "cpu" else None
        if device == "cpu":
            _set(found["allocated"], mode, too_large or _attempt(partial(_allocated, config, settings, training)))
            without = too_large if settings.resident else OFF
            _set(found["resident"], mode, without or _attempt(partial(_resident, config, settings, training)))
            for name in ("reserved", "process"):
                _set(found[name], mode, NO_GPU)
        else:
            _set(found["resident"], mode, ON_GPU)
            gpu = _attempt(partial(_gpu, config, settings, device, training))
            for name in ("allocated", "reserved", "process"):
                _set(found[name], mode, gpu if isinstance(gpu, str) else gpu[name] or str(gpu["reason"]))
    forms = {mode: _formula(config, settings, training) for mode, training in MODES.items()}
    return found | ({"closed_form": forms} if any(forms.values()) else {})


def _set(entry: Entry, mode: str, outcome: Any) -> None:
    """Sets a number, or None and the reason for it."""
    entry[mode] = None if isinstance(outcome, str) else outcome
    if isinstance(outcome, str):
        entry["reason"] = outcome


def _attempt(measure: Callable[[], Any]) -> Any:
    """The measurement, or the reason for its failure as text."""
    try:
        return measure()
    except UserError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  # external models can raise anything, and the modelled memory remains valid
        return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def _allocated(config: ModelConfig, settings: MeasureConfig, training: bool) -> int:
    with torch_threads(settings.threads):
        return allocated(real_step(config, settings, device="cpu", training=training))


def _resident(config: ModelConfig, settings: MeasureConfig, training: bool) -> int:
    found = run_in_child(config, settings, ("resident",), device="cpu", training=training)["resident"]
    return int(found["step"] + found["held"])


def _gpu(config: ModelConfig, settings: MeasureConfig, device: str, training: bool) -> dict[str, Any]:
    """GPU memory, from a fresh process: CUDA does not survive a fork, and modes must not share reserved memory."""
    way: Way = "gpu"
    return dict(run_in_child(config, settings, (way,), device=device, training=training)[way])


def _formula(config: ModelConfig, settings: MeasureConfig, training: bool) -> int | None:
    """Bytes of the closed form; None if it does not cover these settings."""
    if settings.dtype != "float32" or (training and settings.checkpoint_activations):
        return None
    form = closed_form(config, settings.batch_size, training=training)
    return None if form is None else form.bytes
