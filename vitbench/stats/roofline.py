"""The roofline model: the attainable performance of a model on a machine, and its bottleneck.

Williams, Waterman & Patterson 2009, "Roofline: an insightful visual performance model for multicore architectures",
Communications of the ACM 52(4): performance is at most

    min(peak matmul throughput, intensity × memory bandwidth),      intensity = FLOPs ÷ bytes.

The actual memory traffic cannot be observed. Two bounds on it are known (``measure.roofline.memory_traffic``), so a
model has two intensities. Small models meet a third limit, which the paper's kernels do not: operator launch overhead,
because a call is a long sequence of operators with little work each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Bound: TypeAlias = Literal["compute", "bandwidth", "launch"]

FAR_FROM_ROOF = 2.0
"""A latency of at least this many times the roofline's time is far from the roof."""

MIN_LAUNCH_SHARE = 0.5
"""Minimum share of launch overhead in the latency to call it the bottleneck."""


@dataclass(frozen=True)
class Roofline:
    """The ceilings of a machine for one data type, thread count and device."""

    flop_per_s: float
    bytes_per_s: float
    op_s: float | None = None  # launch overhead of one operator

    def __post_init__(self) -> None:
        if not (self.flop_per_s > 0 and self.bytes_per_s > 0):
            raise ValueError(f"a ceiling must be above 0, got {self.flop_per_s} FLOP/s and {self.bytes_per_s} byte/s")

    @property
    def ridge(self) -> float:
        """The ridge point: the intensity (FLOPs per byte) above which compute is the lower roof."""
        return self.flop_per_s / self.bytes_per_s

    def attainable(self, intensity: float) -> float:
        """Attainable FLOP/s at an intensity in FLOPs per byte."""
        return min(self.flop_per_s, intensity * self.bytes_per_s)


@dataclass(frozen=True)
class Work:
    """The FLOPs, memory traffic and latency of a call."""

    flops: float
    unfused: float  # bytes if every operator reads its inputs from memory and writes its outputs to memory
    compulsory: float  # bytes of weights, input and output, each once
    seconds: float
    ops: int | None = None  # operators launched; None if unknown, as in compiled code

    @property
    def achieved(self) -> float:
        """Achieved FLOP/s."""
        return self.flops / self.seconds

    @property
    def intensity(self) -> float:
        """Lower bound of the intensity, in FLOPs per byte of unfused traffic."""
        return self.flops / self.unfused

    @property
    def intensity_at_most(self) -> float:
        """Upper bound of the intensity, in FLOPs per byte of compulsory traffic."""
        return self.flops / self.compulsory


def share(work: Work, roofline: Roofline) -> float:
    """Achieved FLOP/s ÷ peak matmul throughput."""
    return work.achieved / roofline.flop_per_s


def roof(work: Work, roofline: Roofline) -> tuple[Bound, float]:
    """The lowest roof above the measured point, and its FLOP/s.

    The first candidate is the roof at the unfused intensity. A faster call moved fewer bytes, because of caches or
    fusion, so the roof at the compulsory intensity is next. A call above that roof too ran from its caches and is
    limited only by compute.
    """
    for intensity in (work.intensity, work.intensity_at_most):
        attainable = roofline.attainable(intensity)
        if work.achieved <= attainable:
            return ("bandwidth" if intensity < roofline.ridge else "compute"), attainable
    return "compute", roofline.flop_per_s


def bound(work: Work, roofline: Roofline) -> Bound:
    """The bottleneck of a call: ``launch``, ``compute`` or ``bandwidth``.

    It is ``launch`` if the latency is at least twice the roofline's time and at least half of it is launch overhead;
    otherwise it is the lowest roof above the call.
    """
    lowest, attainable = roof(work, roofline)
    overhead = launch_share(work, roofline)
    if overhead is not None and overhead >= MIN_LAUNCH_SHARE and work.achieved * FAR_FROM_ROOF <= attainable:
        return "launch"
    return lowest


def launch_share(work: Work, roofline: Roofline) -> float | None:
    """Launch overhead of all operators ÷ latency; None if one of them is unknown."""
    if work.ops is None or roofline.op_s is None:
        return None
    return work.ops * roofline.op_s / work.seconds
