"""The time of each recorded operation, and the part, block and phase of the model that it belongs to.

On the CPU the wall time of a step is divided by the self time of its events, so that the parts add up to the step. On a
GPU the time of its kernels and copies is divided, by the operations that launched them. An operation belongs to the
innermost module around it. A gradient operation belongs to the module of its forward operation, which autograd marks
with the same sequence number.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import pandas as pd
from torch.autograd import DeviceType  # type: ignore[attr-defined]  # torch's stubs do not export it

from vitbench.utils.errors import UserError

Part: TypeAlias = Literal[
    "attention", "mlp", "norm", "patch_embed", "convolution", "activation", "head", "loss", "optimizer", "other"
]  # fmt: skip
PARTS: tuple[Part, ...] = get_args(Part)
PHASES = ("forward", "loss", "backward", "optimizer")
"""Names of the ranges around the phases of a step; torch itself marks the optimizer."""
CPU = DeviceType.CPU
MODULE = "module "
"""Prefix of the ranges around modules; the dotted path follows."""
STEP, BACKWARD, OPTIMIZER = "ProfilerStep*", "autograd::engine::evaluate_function: ", "Optimizer."
CONVOLUTIONS = frozenset({"aten::convolution", "aten::convolution_backward"})
"""The kernels that these call (``mkldnn_convolution``, ``cudnn_convolution`` …) are counted under their names."""
PYTHON = "Python and the profiler, between operations"
UNLINKED = "work that no recorded operation launched"
COLUMNS = ["step", "ms", "part", "block", "phase", "operation", "call"]


class Owner(NamedTuple):
    """The part and the block that a module belongs to."""

    part: Part | None
    block: str | None


class _Place(NamedTuple):
    """What the ranges and operations around an event say."""

    part: Part | None = None
    block: str | None = None
    phase: str = "other"
    convolution: str | None = None


def steps_of(events: Sequence[Any]) -> list[Any]:
    """The events of the recorded steps, in order.

    Raises:
        UserError: there are none.
    """
    steps = [event for event in events if event.name == STEP and event.device_type == CPU]
    if not steps:
        raise UserError("the profiler recorded no step")
    return sorted(steps, key=lambda step: step.time_range.start)


def attribute(events: Sequence[Any], owners: Mapping[str, Owner], *, gpu: bool) -> pd.DataFrame:
    """One row per event of the recorded steps: its own time (``ms``) and what it belongs to.

    ``call`` says whether a call of the operation starts here: a convolution and its kernel are one call.

    Args:
        events: ``torch.profiler.profile.events()``.
        owners: dotted path of a module → its part and block.
        gpu: whether to divide the time on the GPU.

    Raises:
        UserError: no step was recorded, or nothing on the GPU.
    """
    steps = steps_of(events)
    walk = _Walk(owners, {event.name for event in events if event.is_user_annotation} if gpu else None)
    for number, step in enumerate(steps):
        walk.visit(step, _Place(), number)
    if gpu:
        starts = [step.time_range.start for step in steps]
        for event in events:  # the backward pass runs in another thread, outside the ranges of the steps
            number = bisect_right(starts, event.time_range.start) - 1
            if number >= 0 and event.device_type == CPU and event.cpu_parent is None and event.name != STEP:
                walk.visit(event, _Place(), number)
        kernels = [event for event in events if event.device_type != CPU and not event.is_user_annotation]
        if not kernels:
            raise UserError("the profiler recorded nothing on the GPU: CUPTI is not accessible; type --device cpu")
        whole = sum(kernel.time_range.elapsed_us() for kernel in kernels) / 1e3
        if (unlinked := whole - sum(row[1] for row in walk.rows)) > 1e-6 * whole:
            each = unlinked / len(steps)
            walk.rows += [(i, each, "other", None, "other", UNLINKED, False) for i in range(len(steps))]
    return pd.DataFrame(walk.rows, columns=COLUMNS)


class _Walk:
    """Goes through the tree of events; ``annotations`` are the names of ranges on the GPU, None on the CPU."""

    def __init__(self, owners: Mapping[str, Owner], annotations: set[str] | None) -> None:
        self.owners, self.annotations = owners, annotations
        self.rows: list[tuple[Any, ...]] = []
        self.forward: dict[tuple[int, int], _Place] = {}  # thread and sequence number → place of the forward operation

    def visit(self, event: Any, outer: _Place, step: int) -> None:
        place = self._place(event, outer)
        if event.sequence_nr >= 0 and place.phase != "backward":
            self.forward[event.thread, event.sequence_nr] = place
        operation = PYTHON if event.is_user_annotation else event.name
        if place.convolution and "conv" in operation:
            operation = place.convolution
        row = (step, self._ms(event), place.part or "other", place.block, place.phase, operation)
        self.rows.append((*row, operation == event.name))
        for child in event.cpu_children:
            self.visit(child, place, step)

    def _place(self, event: Any, outer: _Place) -> _Place:
        if event.name.startswith(BACKWARD):
            made = self.forward.get((event.fwd_thread, event.sequence_nr), _Place())
            return made._replace(phase="backward", convolution=None)
        if not event.is_user_annotation:
            return outer._replace(convolution=event.name) if event.name in CONVOLUTIONS else outer
        if event.name.startswith(OPTIMIZER):
            return _Place("optimizer", phase="optimizer")
        if event.name in PHASES and outer.phase == "other":
            return _Place("loss" if event.name == "loss" else None, phase=event.name)
        part, block = self.owners.get(event.name.removeprefix(MODULE), (None, None))
        return outer._replace(part=part or outer.part, block=block or outer.block)

    def _ms(self, event: Any) -> float:
        if self.annotations is None:
            return float(event.self_cpu_time_total) / 1e3
        return float(sum(k.duration for k in event.kernels if k.name not in self.annotations)) / 1e3
