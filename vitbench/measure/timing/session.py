"""A timing session: all variants and an A/A control timed together, in blocks.

Timed one after another, two copies of one model differ by over 3 % in most comparisons on a shared machine; and two
copies in one process can really differ by tens of percent through where they lie in memory. So:

- a *cycle* calls every subject in random order, then in the mirrored order: linear drift cancels;
- a *block* is a fresh placement of all subjects in memory and a few cycles; blocks are the units of every interval;
- a clone of the baseline takes part in every cycle: if it is found to differ from the baseline, nothing is believed;
- with a target, blocks go on until every ratio's interval is narrow enough (``stats.sequential``).

What it leaves out: loading data, moving it to the device, the first call (apart, as ``cold_ms``).
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from vitbench import stats
from vitbench.declare.measure import Placement
from vitbench.measure.timing import host_load
from vitbench.measure.timing.sample import LOOP_BELOW_S, Sample, Timer, Warm, timed, warm_up
from vitbench.measure.timing.subject import Mode, Subject, SubjectError, check_form, check_output, place, placed
from vitbench.stats.estimates import FloatArray, control_holds, log_ratio_blocks, mean_interval
from vitbench.stats.sequential import FIRST_LOOK, NOMINAL
from vitbench.utils.errors import ConfigError, unknown

__all__ = ["CONTROL", "LOOP_BELOW_S", "Block", "Samples", "Session", "StopReason", "SubjectError", "run_session"]

CONTROL = "A/A control"
"""The name of the baseline's clone in the order log."""

FIXED_LEVEL = 0.95
"""Of an interval that was not looked at before it was complete."""

StopReason: TypeAlias = Literal["target reached", "budget ended", "blocks ended"]


@dataclass(frozen=True)
class Samples:
    """The raw calls of one subject, each array (blocks, 2·cycles): columns 2c, 2c + 1 are cycle c and its mirror."""

    wall: FloatArray  # seconds per call
    cpu: FloatArray  # seconds per call of the calling thread on a core
    switches: NDArray[np.int64]  # involuntary, within the sample
    loops: int  # calls within a sample; wall and cpu are divided by it
    cold_ms: float  # the first call
    batch_size: int
    phases: Mapping[str, FloatArray] = field(default_factory=dict)  # seconds of forward, backward, optimizer: the wall
    device: FloatArray | None = None  # seconds per call between events on a CUDA device


@dataclass(frozen=True)
class Block:
    """What else is known of a block. Shares are 0 to 1; None: not available here."""

    order: list[list[str]]  # one list of names a cycle: its first pass, of which the second is the mirror
    pressure: float | None
    steal: float | None
    load: float | None
    seconds: float


@dataclass(frozen=True)
class Session:
    """One joint timing of all subjects."""

    baseline: str
    mode: Mode
    seed: int
    samples: dict[str, Samples]
    control: Samples  # the baseline's clone
    blocks: list[Block]
    placement: Placement = "own"
    target: float | None = None  # half-width of every ratio, as a fraction, at which blocks ended
    looks: tuple[int, ...] = ()  # numbers of blocks at which that was looked at
    stop_reason: StopReason = "blocks ended"

    def log_ratios(self, name: str) -> FloatArray:
        """One log-ratio against the baseline a block, (blocks,)."""
        return log_ratio_blocks(self.samples[name].wall, self.samples[self.baseline].wall)

    @property
    def level(self) -> float:
        """Nominal level of a ratio's interval that covers at least 95 %: more where it was looked at several times."""
        return FIXED_LEVEL if self.target is None else NOMINAL

    @property
    def control_log_ratios(self) -> FloatArray:
        """One log-ratio of the clone against the baseline a block, (blocks,)."""
        return log_ratio_blocks(self.control.wall, self.samples[self.baseline].wall)

    @property
    def valid(self) -> bool:
        """Whether the A/A control held: its 99 % interval includes 1."""
        return control_holds(self.control_log_ratios)

    @property
    def noise_floor(self) -> float:
        """Half-width of the control's 99 % interval, as a fraction: smaller differences cannot be trusted here."""
        return math.expm1(mean_interval(self.control_log_ratios, 0.99).half_width)

    def unstable(self, name: str) -> bool:
        """Whether a subject's ratio drifts with time (p < .01)."""
        return stats.drifts(self.log_ratios(name), stats.middles([block.seconds for block in self.blocks]))

    def order_effect(self, name: str) -> stats.Interval:
        """The ratio in the mirrored passes ÷ that in the first ones, 99 %: without 1, calls disturb each other."""
        return stats.order_effect(self.samples[name].wall, self.samples[self.baseline].wall)

    @property
    def pressure(self) -> float | None:
        """Mean over blocks; None: not available here."""
        known = [block.pressure for block in self.blocks if block.pressure is not None]
        return statistics.fmean(known) if known else None

    @property
    def cpu_share(self) -> float:
        """Thread CPU time ÷ wall time over all timed calls."""
        everyone = [*self.samples.values(), self.control]
        return float(sum(s.cpu.sum() for s in everyone) / sum(s.wall.sum() for s in everyone))


def _check(subjects: Mapping[str, Subject], baseline: str, blocks: int, cycles: int, target: float | None) -> None:
    if baseline not in subjects:
        raise ConfigError(unknown("baseline", baseline, subjects))
    if CONTROL in subjects:
        raise ConfigError(f"a subject cannot be called {CONTROL!r}: that is the baseline's clone; choose another name")
    if blocks < 1 or cycles < 1:
        raise ConfigError(f"blocks={blocks}, cycles={cycles} leave nothing to time: both take 1 or more")
    if target is not None and not target > 0:
        raise ConfigError(f"target={target:g} is never reached: it takes a fraction above 0, such as 0.02 for ±2%")


def run_session(
    subjects: Mapping[str, Subject],
    *,
    baseline: str,
    blocks: int = 12,
    cycles: int = 6,
    seed: int = 0,
    mode: Mode = "forward",
    warmup_s: float = 2.0,
    target: float | None = None,
    first_look: int = FIRST_LOOK,
    budget_s: float | None = None,
    minimum_blocks: int = 6,
    placement: Placement = "own",
    control: Subject | None = None,
    timer: Timer = time.perf_counter,
    on_block: Callable[[int, int], None] | None = None,
) -> Session:
    """Times all subjects and a clone of the baseline together.

    Args:
        subjects: name → model and input. Thread settings are the caller's business.
        baseline: the name that the others are compared with.
        blocks: fresh placements, at most.
        cycles: mirrored permutations in a block, at most: each subject is timed 2·cycles times.
        seed: of placements, orders and labels.
        mode: ``forward``, or a whole ``train_step``: forward, cross-entropy, backward, AdamW.
        warmup_s: seconds of warm-up a subject, at most.
        target: half-width of every subject's ratio, as a fraction, at which no further block is begun; it is looked at
            after ``first_look`` blocks, and again each time when there are half as many more. None: all are run.
        first_look: in blocks.
        budget_s: blocks have as many cycles as let ``minimum_blocks`` of them end in this time, one at least; and no
            further block is begun that would end later. First calls, which may compile, do not count. None: no end.
        minimum_blocks: under a budget, however long they take.
        placement: ``shared`` puts parameters of one shape into the same memory for all; for forward passes only.
        control: stands in for the baseline's clone; a slowed one shows that the control fires.
        timer: seconds; injected by tests.
        on_block: called with blocks done and planned after each, outside all timing.

    Raises:
        ConfigError: no such baseline, nothing to time, a target of nothing.
        SubjectError: a subject raised, put out NaN or infinity, or an output of another shape; it names the subject.
    """
    _check(subjects, baseline, blocks, cycles, target)
    if placement == "shared" and mode == "train_step":
        raise ConfigError("placement='shared' is for forward passes: training steps would train each other's weights")
    start = timer()
    rng = np.random.default_rng(seed)
    if budget_s is not None:
        warmup_s = min(warmup_s, budget_s / (2 * len(subjects)))
    with torch.inference_mode(mode == "forward"):
        warm = {
            name: warm_up(name, place(name, subject, mode, seed, timer=timer), subject, warmup_s, timer)
            for name, subject in subjects.items()
        }
    everyone = {**subjects, CONTROL: control or subjects[baseline]}
    start += sum(subject.cold_ms for subject in warm.values()) / 1e3
    warm[CONTROL] = warm[baseline]
    if budget_s is not None:
        cycle_s = 2 * sum(warm[name].sample_s for name in everyone)
        cycles = min(cycles, max(1, int((budget_s - timer() + start) / minimum_blocks / cycle_s)))
    rows: dict[str, list[list[Sample]]] = {name: [] for name in everyone}
    log: list[Block] = []
    seen: list[int] = []
    ahead = stats.interim_looks(first_look)
    next_look = next(ahead)
    reason: StopReason = "blocks ended"
    before = host_load.read()
    for done in range(1, blocks + 1):
        block_start = timer()
        order = [rng.permutation(list(everyone)).tolist() for _ in range(cycles)]
        with placed(everyone, mode, rng, placement=placement, timer=timer) as calls:
            _run_block(order, {name: (calls[name], everyone[name], warm[name], rows[name]) for name in everyone}, timer)
        after, end = host_load.read(), timer()
        log.append(Block(order, before.pressure(after), before.steal(after), host_load.load(), end - block_start))
        before = after
        if on_block is not None:
            on_block(done, blocks)
        if target is not None and done == next_look:
            seen.append(done)
            next_look = next(ahead)
            walls = {name: [[sample.wall for sample in block] for block in rows[name]] for name in subjects}
            others = [log_ratio_blocks(walls[name], walls[baseline]) for name in subjects if name != baseline]
            if stats.narrow_enough(others, target):
                reason = "target reached"
                break
        longest = max(block.seconds for block in log)
        if budget_s is not None and minimum_blocks <= done < blocks and end + longest - start > budget_s:
            reason = "budget ended"
            break

    def samples(name: str) -> Samples:
        return _samples(rows[name], warm[name], everyone[name], mode)

    found = {name: samples(name) for name in subjects}
    return Session(baseline, mode, seed, found, samples(CONTROL), log, placement, target, tuple(seen), reason)


def _run_block(
    order: list[list[str]],
    everyone: Mapping[str, tuple[Callable[[], object], Subject, Warm, list[list[Sample]]]],
    timer: Timer,
) -> None:
    """The cycles of a block; the last output of each subject must still be finite."""
    for *_, rows in everyone.values():
        rows.append([])
    for cycle, names in enumerate(order, 1):
        for name in (*names, *reversed(names)):
            call, subject, warm, rows = everyone[name]
            sample, output = timed(name, call, subject, warm.loops, timer)
            rows[-1].append(sample)
            check_form(name, output, warm.form)
            if cycle == len(order) and len(rows[-1]) == 2 * cycle:
                check_output(name, output)


def _samples(rows: list[list[Sample]], warm: Warm, subject: Subject, mode: Mode) -> Samples:
    wall, cpu, switches, device, forward, backward = np.moveaxis(np.array(rows, dtype=np.float64), -1, 0)
    phases: dict[str, FloatArray] = {}
    if mode == "train_step":
        phases = {"forward": forward, "backward": backward, "optimizer": wall - forward - backward}
    return Samples(
        wall,
        cpu,
        switches.astype(np.int64),
        warm.loops,
        warm.cold_ms,
        subject.batch_size,
        phases,
        device if subject.asynchronous else None,
    )
