"""The roofline: how fast a machine lets a model be, and which of its limits holds the model back.

Williams, Waterman & Patterson 2009, "Roofline: an insightful visual performance model for multicore architectures",
Communications of the ACM 52(4): work of so many FLOPs that moves so many bytes runs at most at

    min(matrix-product ceiling, intensity × copy bandwidth),      intensity = FLOPs ÷ bytes.

How many bytes really reach memory is not seen from outside; two bounds of them are known (``measure.traffic``), so a
model has two intensities. A third limit, which the paper's kernels do not meet, is the time that it takes to start an
operation: a small model's call is a long row of operations that hardly do anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Bound: TypeAlias = Literal["compute", "bandwidth", "launch"]

FAR_ABOVE = 2.0
"""Times the roofline's time: a latency over that is "far above" it."""

EXPLAINS = 0.5
"""Share of the latency that starting the operations must take to explain it."""


@dataclass(frozen=True)
class Roofline:
    """A machine's ceilings at one data type, thread count and device."""

    flop_per_s: float
    bytes_per_s: float
    op_s: float | None = None  # to start one operation, whatever it does

    def __post_init__(self) -> None:
        if not (self.flop_per_s > 0 and self.bytes_per_s > 0):
            raise ValueError(f"a ceiling is above 0, got {self.flop_per_s} FLOP/s and {self.bytes_per_s} byte/s")

    @property
    def ridge(self) -> float:
        """FLOPs a byte above which arithmetic is the lower roof."""
        return self.flop_per_s / self.bytes_per_s

    def attainable(self, intensity: float) -> float:
        """FLOP/s at so many FLOPs a byte, at most."""
        return min(self.flop_per_s, intensity * self.bytes_per_s)


@dataclass(frozen=True)
class Work:
    """A call: what it computes and moves, and how long it took."""

    flops: float
    unfused: float  # bytes, if every operation reads its inputs from memory and writes its outputs there
    compulsory: float  # bytes of weights, input and output, each once
    seconds: float
    ops: int | None = None  # operations started; None where that is not known, as of compiled code

    @property
    def achieved(self) -> float:
        """FLOP/s."""
        return self.flops / self.seconds

    @property
    def intensity(self) -> float:
        """FLOPs a byte, at least: of the unfused traffic."""
        return self.flops / self.unfused

    @property
    def intensity_at_most(self) -> float:
        """FLOPs a byte of the compulsory traffic."""
        return self.flops / self.compulsory


def share(work: Work, roofline: Roofline) -> float:
    """Achieved FLOP/s ÷ the matrix-product ceiling."""
    return work.achieved / roofline.flop_per_s


def roof(work: Work, roofline: Roofline) -> tuple[Bound, float]:
    """The lowest roof that the measured point does not break, and its FLOP/s.

    First the roof over the unfused intensity. A call that is faster than that did not move those bytes: caches, or
    fusion, held them back, and the roof over the compulsory intensity counts. A call that breaks this one too ran
    from its caches, and only arithmetic limits it.
    """
    for intensity in (work.intensity, work.intensity_at_most):
        attainable = roofline.attainable(intensity)
        if work.achieved <= attainable:
            return ("bandwidth" if intensity < roofline.ridge else "compute"), attainable
    return "compute", roofline.flop_per_s


def bound(work: Work, roofline: Roofline) -> Bound:
    """What holds a call back.

    ``launch`` where the latency is at least twice the roofline's time and starting the operations takes at least half
    of it; else the lowest roof that the call does not break: ``compute`` or ``bandwidth``.
    """
    lowest, attainable = roof(work, roofline)
    starting = launch_share(work, roofline)
    if starting is not None and starting >= EXPLAINS and work.achieved * FAR_ABOVE <= attainable:
        return "launch"
    return lowest


def launch_share(work: Work, roofline: Roofline) -> float | None:
    """Seconds that it takes to start the operations ÷ the latency; None where one of them is not known."""
    if work.ops is None or roofline.op_s is None:
        return None
    return work.ops * roofline.op_s / work.seconds
