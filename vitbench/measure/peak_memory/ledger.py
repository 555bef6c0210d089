"""What memory goes to: what of a step is modelled, what arithmetic says, and what is allocated and resident, in bytes.

Each is another quantity, and none replaces another (docs/memory.md). What cannot be measured is None with a reason.
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
from vitbench.measure.peak_memory.resident import MODES, Way, in_a_child
from vitbench.utils.errors import UserError
from vitbench.utils.threads import torch_threads

Entry: TypeAlias = dict[str, Any]
"""``inference`` and ``training`` → bytes or None, and ``reason`` where one is None."""

OFF = "measure.resident is off: a process of its own takes seconds"
NO_GPU = "no such device: the step runs on the CPU"
ON_GPU = "the step runs on a GPU: see its own columns"


def measured(
    config: ModelConfig, settings: MeasureConfig, *, device: str, modelled: Mapping[str, int]
) -> dict[str, Entry]:
    """The step on real tensors, by every way there is for the device.

    Args:
        config: of the model.
        settings: batch size, dtype, threads; ``resident`` asks for that too, in a process of its own.
        device: ``cpu`` or ``cuda``.
        modelled: ``inference`` and ``training`` → the modelled peak; a step that would not fit is not run.

    Returns:
        ``allocated``, ``resident``, ``reserved``, ``process``, and ``closed_form`` where a formula covers the model.
    """
    found: dict[str, Entry] = {name: {} for name in ("allocated", "resident", "reserved", "process")}
    for mode, training in MODES.items():
        too_large = why_not_run(modelled[mode]) if device == "cpu" else None
        if device == "cpu":
            _note(found["allocated"], mode, too_large or _tried(partial(_allocated, config, settings, training)))
            without = too_large if settings.resident else OFF
            _note(found["resident"], mode, without or _tried(partial(_resident, config, settings, training)))
            for name in ("reserved", "process"):
                _note(found[name], mode, NO_GPU)
        else:
            _note(found["resident"], mode, ON_GPU)
            gpu = _tried(partial(_gpu, config, settings, device, training))
            for name in ("allocated", "reserved", "process"):
                _note(found[name], mode, gpu if isinstance(gpu, str) else gpu[name] or str(gpu["reason"]))
    forms = {mode: _formula(config, settings, training) for mode, training in MODES.items()}
    return found | ({"closed_form": forms} if any(forms.values()) else {})


def _note(entry: Entry, mode: str, outcome: Any) -> None:
    """A number, or the reason why there is none."""
    entry[mode] = None if isinstance(outcome, str) else outcome
    if isinstance(outcome, str):
        entry["reason"] = outcome


def _tried(measure: Callable[[], Any]) -> Any:
    """What was measured, or why it was not."""
    try:
        return measure()
    except UserError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  # other people's models fail in every way; what is modelled stands
        return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def _allocated(config: ModelConfig, settings: MeasureConfig, training: bool) -> int:
    with torch_threads(settings.threads):
        return allocated(real_step(config, settings, device="cpu", training=training))


def _resident(config: ModelConfig, settings: MeasureConfig, training: bool) -> int:
    found = in_a_child(config, settings, ("resident",), device="cpu", training=training)["resident"]
    return int(found["step"] + found["held"])


def _gpu(config: ModelConfig, settings: MeasureConfig, device: str, training: bool) -> dict[str, Any]:
    """In a process of its own: a CUDA context does not survive a fork, and one mode would count the other's."""
    way: Way = "gpu"
    return dict(in_a_child(config, settings, (way,), device=device, training=training)[way])


def _formula(config: ModelConfig, settings: MeasureConfig, training: bool) -> int | None:
    """The closed form's bytes, where it covers these settings."""
    if settings.dtype != "float32" or (training and settings.checkpoint_activations):
        return None
    form = closed_form(config, settings.batch_size, training=training)
    return None if form is None else form.bytes
