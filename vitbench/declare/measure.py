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
    threads: int = 1  # two torch threads on a busy two-core machine were 35 times slower than one
    blocks: int = 12  # fresh placements of a timing session, at least
    cycles: int = 6  # mirrored permutations in a block, at most
    target: float = 0.02  # half-width of every latency ratio at which a session ends
    looks: int = 4  # how often that is looked at: after 12, 18, 27 and 41 blocks; 1: no more than `blocks` are timed
    budget_s: float = 60.0  # of a session: fewer cycles where `blocks` would not fit, and no further block beyond it
    placement: Placement = "own"  # shared: parameters of one shape in the same memory for all, in forward passes
    processes: int = 1  # workers that each time everything, one after another; from 3 on they are the units
    warmup_s: float = 2.0  # at most
    compile: bool = False  # torch.compile, before anything is timed
    channels_last: bool = False  # images and convolution weights in NHWC order
    checkpoint_activations: bool = False  # a training step keeps a block's input alone, and runs the block again
    resident: bool = False  # what the kernel gives a step, too, in a fresh process for each: 4 s of CPU a variant

    def _check(self) -> None:
        self._at_least(1, "batch_size", "threads", "cycles", "looks", "processes")
        self._at_least(2, "blocks")
        self._at_least(0, "warmup_s")
        self._above(0, "target", "budget_s")
        if self.processes == 2:
            raise ConfigError("processes=2 are too few to be units and too many to be one: it takes 1, or 3 and more")
