"""``MeasureConfig``: how costs are measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from vitbench.declare.checked import Checked
from vitbench.utils.errors import ConfigError

Dtype: TypeAlias = Literal["float32", "bfloat16", "float16"]
Placement: TypeAlias = Literal["own", "shared"]


@dataclass(frozen=True, kw_only=True)
class MeasureConfig(Checked):
    """How costs are measured: latency, training step, throughput, memory."""

    batch_size: int = 8
    dtype: Dtype = "float32"
    threads: int = 1  # on a busy two-core machine two threads were 35 times slower than one
    blocks: int = 12  # least number of blocks (fresh placements in memory) of a timing session
    cycles: int = 6  # most mirrored permutations of the variants in a block
    target: float = 0.02  # half-width of the latency ratios at which a session ends
    looks: int = 4  # interim looks at the half-width: after 12, 18, 27 and 41 blocks; 1: time `blocks` blocks only
    budget_s: float = 60.0  # of a session; fewer cycles if `blocks` would not fit, and no block starts after it
    placement: Placement = "own"  # shared: variants share the memory of equal-shaped parameters, in forward passes
    processes: int = 1  # processes that each time everything in turn; from 3 on, intervals are over processes
    warmup_s: float = 2.0  # at most
    compile: bool = False  # torch.compile, before anything is timed
    channels_last: bool = False  # images and convolution weights in NHWC layout
    checkpoint_activations: bool = False  # keep only each block's input and recompute the block in the backward pass
    resident: bool = False  # also measure resident memory, in a fresh process; 4 s of CPU per variant

    def _check(self) -> None:
        self._at_least(1, "batch_size", "threads", "cycles", "looks", "processes")
        self._at_least(2, "blocks")
        self._at_least(0, "warmup_s")
        self._above(0, "target", "budget_s")
        if self.processes == 2:
            raise ConfigError("processes=2 is too few for an interval over processes: it takes 1, or 3 and more")
