"""Where the time of profiled steps went: each nanosecond to one part of the model, one block, one operation.

On the CPU a step is divided by the own time of what ran on its thread, Python included, so that the parts add up to
the step. On CUDA it is the time of kernels and copies on the device that is divided, by what launched them. An
operation belongs to the innermost module around it; one of the backward pass to the module of the forward operation
whose gradient it computes (autograd numbers both alike); one without a module to what its own type says, such as
attention. Copies are counted apart, wherever they stand. The rest is "other".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from vitbench.measure.tracing.chrome_trace import BACKWARD, Event, Trace
from vitbench.measure.tracing.op_flops import op_flops

Part: TypeAlias = Literal[
    "attention",
    "mlp",
    "norm",
    "patch_embed",
    "convolution",
    "activation",
    "head",
    "loss",
    "optimizer",
    "copies",
    "other",
]
PARTS: tuple[Part, ...] = get_args(Part)

MODULE = "module "
"""Before a module's dotted path, in the name of the range that is recorded around it."""

OPTIMIZER = "Optimizer."
PHASES = ("forward", "loss", "backward", "optimizer")
"""Names of ranges around the phases of a step; torch itself marks the optimiser's."""

COPIES = frozenset(f"aten::{name}" for name in ("copy_", "clone", "_to_copy", "cat"))
"""Operations that move numbers and compute none: others copy by calling these. A kernel's own moving stays its own."""

TYPES: Mapping[str, Part] = {
    "aten::scaled_dot_product_attention": "attention",
    "aten::_native_multi_head_attention": "attention",
    "aten::layer_norm": "norm",
    "aten::rms_norm": "norm",
    "aten::batch_norm": "norm",
    "aten::group_norm": "norm",
    "aten::instance_norm": "norm",
    "aten::convolution": "convolution",
}
"""What an operation is that no module claims."""


@dataclass(frozen=True, slots=True)
class Share:
    """Nanoseconds of one event, and what they were spent on."""

    step: int
    nanoseconds: int
    part: Part
    home: Part
    """Its part, had copies no part of their own."""
    block: str | None
    phase: str
    operation: str | None
    """None: Python, between operations."""
    flops: int | None
    """Of the whole call, inner ones included; None: no product, or counted with the call around it."""
    starts: bool
    """Whether a call starts here: on the host always, on a device once for each that launched something."""


def attribute(trace: Trace, parts: Mapping[str, Part], blocks: Mapping[str, str]) -> list[Share]:
    """Divides the profiled steps.

    Args:
        trace: with a range ``module PATH`` around each module that is a part or block, and one around each phase.
        parts: dotted path → part.
        blocks: dotted path → the block that it is shown as.
    """
    return list((_on_device if trace.device else _on_host)(trace, _Attribution(trace, parts, blocks)))


def _on_host(trace: Trace, of: _Attribution) -> Iterator[Share]:
    thread = trace.steps[0].thread
    for event in trace.host:
        step = trace.step_of(event.start) if event.thread == thread else None
        if step is not None:
            product = of.product(event)
            flops = of.flops(product) if product is not None and of.kernel(product) is event else None
            yield of.share(event, step, event.own, flops=flops, starts=True)


def _on_device(trace: Trace, of: _Attribution) -> Iterator[Share]:
    launched_by = {event.args["External id"]: event for event in trace.host if "External id" in event.args}
    seen: set[int] = set()
    for event in trace.device:
        host = launched_by.get(event.args.get("External id"))
        step = trace.step_of(event.start if host is None else host.start)
        if step is None:
            continue
        took = event.end - event.start
        if host is None:
            copy = event.category == "gpu_memcpy"
            yield Share(
                step, took, "copies" if copy else "other", "other", None, "other", event.name, None, starts=True
            )
            continue
        product = of.product(host)
        new = product is not None and id(product) not in seen  # a product of two kernels is one product
        flops = of.flops(product) if product is not None and new else None
        yield of.share(host, step, took, flops=flops, starts=id(host) not in seen)
        seen |= {id(host), id(product)}


class _Attribution:
    def __init__(self, trace: Trace, parts: Mapping[str, Part], blocks: Mapping[str, str]) -> None:
        self.parts, self.blocks = parts, blocks
        self.forward: dict[int, Event] = {}  # number that autograd gave → the last operation that had it: its maker
        self.kernels: dict[int, Event] = {}  # id of a convolution → the innermost one that does it
        for event in trace.host:
            number = event.args.get("Sequence number")
            if number is not None and event.within(BACKWARD) is None:
                self.forward[number] = event
            if "conv" in event.name and (product := self.product(event)) is not None:
                self.kernels[id(product)] = event

    def share(self, event: Event, step: int, nanoseconds: int, *, flops: int | None, starts: bool) -> Share:
        made = self._made(event)
        home = self._home(event, made)
        operation = event.name if event.category == "cpu_op" else None
        part: Part = "copies" if self._copies(event) else home
        return Share(
            step, nanoseconds, part, home, self._block(event, made), _phase(event), operation, flops, starts=starts
        )

    def flops(self, product: Event) -> int | None:
        return op_flops(product.name, product.args)

    def product(self, event: Event) -> Event | None:
        """The outermost operation around it with a formula: what it calls in turn is not counted again."""
        return next((e for e in reversed(list(event.ancestry())) if op_flops(e.name, e.args) is not None), None)

    def kernel(self, product: Event) -> Event:
        """Where a product's FLOPs are shown: a convolution is a shell around what does it."""
        return self.kernels.get(id(product), product)

    def _made(self, event: Event) -> Event | None:
        """The forward operation whose gradient this one computes."""
        backward = event.within(BACKWARD)
        return None if backward is None else self.forward.get(backward.args.get("Sequence number", -1))

    def _copies(self, event: Event) -> bool:
        """Whether it is a copy, or a copy's own doing."""
        for around in event.ancestry():
            if around.category != "cpu_op":
                return False
            if around.name in COPIES:
                return True
        return False

    def _home(self, event: Event, made: Event | None) -> Part:
        """The part of the innermost module around it or around what made it; else what the phase or its type says."""
        lines = [event] if made is None else [event, made]
        for line in lines:
            for around in line.ancestry():
                if (part := self.parts.get(_path(around))) is not None:
                    return part
                if around.name == "loss" and around.category == "user_annotation":
                    return "loss"
                if around.name.startswith(OPTIMIZER):
                    return "optimizer"
        return next((TYPES[a.name] for line in lines for a in line.ancestry() if a.name in TYPES), "other")

    def _block(self, event: Event, made: Event | None) -> str | None:
        for line in [event] if made is None else [event, made]:
            for around in line.ancestry():
                path = _path(around)
                while path:
                    if path in self.blocks:
                        return self.blocks[path]
                    path = path.rpartition(".")[0]
        return None


def _path(event: Event) -> str:
    """The dotted path of the module that this range is around, or nothing."""
    return event.name.removeprefix(MODULE) if event.name.startswith(MODULE) else ""


def _phase(event: Event) -> str:
    for around in event.ancestry():
        if around.name.startswith(BACKWARD):
            return "backward"
        if around.name.startswith(OPTIMIZER):
            return "optimizer"
        if around.category == "user_annotation" and around.name in PHASES:
            return around.name
    return "other"


def totals(shares: list[Share], steps: int) -> list[int]:
    """Nanoseconds of each step."""
    found: dict[int, int] = defaultdict(int)
    for share in shares:
        found[share.step] += share.nanoseconds
    return [found[step] for step in range(steps)]
