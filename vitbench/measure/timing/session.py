"""Timing sessions: all variants and an A/A control are timed together, in blocks.

If timed in sequence, two copies of one model differ by over 3 % in most comparisons on a shared machine; and two copies
in one process can truly differ by tens of percent because of their placement in memory. Therefore:

- a *cycle* calls every subject in random order, then in the mirrored order, so that linear drift cancels;
- a *block* is a fresh placement of all subjects in memory and a few cycles; blocks are the units of every interval;
- a clone of the baseline takes part in every cycle; if it differs from the baseline, all verdicts are withheld;
- with a target, the session ends when every ratio's interval is narrow enough (``stats.sequential``).

Excluded are loading of data, transfers to the device and the first call, which is recorded as ``cold_ms``.
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
from vitbench.measure.timing.sample import LOOP_BELOW_S, Sample, Timer, WarmUp, timed, warm_up
from vitbench.measure.timing.subject import Mode, Subject, SubjectError, check_output, check_shapes, place, placed
from vitbench.stats.estimates import FloatArray, control_holds, log_ratio_blocks, mean_interval
from vitbench.stats.sequential import FIRST_LOOK, NOMINAL
from vitbench.utils.errors import ConfigError, unknown

__all__ = ["CONTROL", "LOOP_BELOW_S", "Block", "Samples", "Session", "StopReason", "SubjectError", "run_session"]

CONTROL = "A/A control"
"""Name of the baseline's clone in the order log."""

FIXED_LEVEL = 0.95
"""Level of an interval without interim looks."""

StopReason: TypeAlias = Literal["target reached", "budget ended", "blocks ended"]


@dataclass(frozen=True)
class Samples:
    """The raw calls of a subject, (blocks, 2·cycles) per array: columns 2c and 2c + 1 are cycle c and its mirror."""

    wall: FloatArray  # seconds per call
    cpu: FloatArray  # CPU seconds of the calling thread, per call
    switches: NDArray[np.int64]  # involuntary context switches per sample
    loops: int  # calls per sample
    cold_ms: float  # of the first call
    batch_size: int
    phases: Mapping[str, FloatArray] = field(default_factory=dict)  # seconds of forward, backward, optimizer; sum: wall
    device: FloatArray | None = None  # seconds per call between CUDA events


@dataclass(frozen=True)
class Block:
    """The order and conditions of a block. Shares are 0 to 1; None if not available."""

    order: list[list[str]]  # names in the first pass of each cycle; the second pass is its mirror
    pressure: float | None
    steal: float | None
    load: float | None
    seconds: float


@dataclass(frozen=True)
class Session:
    """A joint timing of all subjects."""

    baseline: str
    mode: Mode
    seed: int
    samples: dict[str, Samples]
    control: Samples  # the baseline's clone
    blocks: list[Block]
    placement: Placement = "own"
    target: float | None = None  # half-width of every ratio, as a fraction
    looks: tuple[int, ...] = ()  # interim looks: numbers of blocks after which the widths were checked
    stop_reason: StopReason = "blocks ended"

    def log_ratios(self, name: str) -> FloatArray:
        """Log-ratios to the baseline, one per block, (blocks,)."""
        return log_ratio_blocks(self.samples[name].wall, self.samples[self.baseline].wall)

    @property
    def level(self) -> float:
        """Nominal level of a ratio's interval for a coverage of at least 95 %; higher with interim looks."""
        return FIXED_LEVEL if self.target is None else NOMINAL

    @property
    def control_log_ratios(self) -> FloatArray:
        """Log-ratios of the clone to the baseline, one per block, (blocks,)."""
        return log_ratio_blocks(self.control.wall, self.samples[self.baseline].wall)

    @property
    def valid(self) -> bool:
        """Whether the A/A control passed: its 99 % interval includes 1."""
        return control_holds(self.control_log_ratios)

    @property
    def noise_floor(self) -> float:
        """Half-width of the control's 99 % interval, as a fraction; smaller differences are not reliable."""
        return math.expm1(mean_interval(self.control_log_ratios, 0.99).half_width)

    def unstable(self, name: str) -> bool:
        """Whether a subject's ratio drifts with time (p < .01)."""
        return stats.drifts(self.log_ratios(name), stats.block_midpoints([block.seconds for block in self.blocks]))

    def order_effect(self, name: str) -> stats.Interval:
        """The ratio in mirrored passes ÷ in first passes, 99 %; an interval without 1 shows interference."""
        return stats.order_effect(self.samples[name].wall, self.samples[self.baseline].wall)

    @property
    def pressure(self) -> float | None:
        """Mean pressure over blocks; None if not available."""
        known = [block.pressure for block in self.blocks if block.pressure is not None]
        return statistics.fmean(known) if known else None

    @property
    def cpu_share(self) -> float:
        """Thread CPU time ÷ wall time over all timed calls."""
        every = [*self.samples.values(), self.control]
        return float(sum(s.cpu.sum() for s in every) / sum(s.wall.sum() for s in every))


def _check(subjects: Mapping[str, Subject], baseline: str, blocks: int, cycles: int, target: float | None) -> None:
    if baseline not in subjects:
        raise ConfigError(unknown("baseline", baseline, subjects))
    if CONTROL in subjects:
        raise ConfigError(f"{CONTROL!r} is the name of the baseline's clone: choose another name")
    if blocks < 1 or cycles < 1:
        raise ConfigError(f"blocks={blocks}, cycles={cycles} leave nothing to time: give at least 1 for both")
    if target is not None and not target > 0:
        raise ConfigError(f"target={target:g} is never reached: give a fraction above 0, such as 0.02 for ±2%")


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
    """A session that times all subjects and a clone of the baseline together.

    Args:
        subjects: models and inputs by name. The caller sets the number of threads.
        baseline: name of the subject that the others are compared with.
        blocks: maximum number of blocks.
        cycles: maximum number of cycles per block; each subject is timed twice per cycle.
        seed: seed of placements, orders and labels.
        mode: ``forward``, or a whole ``train_step``: forward, cross-entropy, backward, AdamW.
        warmup_s: maximum seconds of warm-up per subject.
        target: half-width of every subject's ratio, as a fraction, at which the session ends. It is checked after
            ``first_look`` blocks, and each time the number of blocks has grown by half. None: run all blocks.
        first_look: number of blocks before the first interim look.
        budget_s: maximum seconds. The number of cycles is reduced, down to one, until ``minimum_blocks`` fit; no block
            starts that would end later. First calls, which may compile, do not count. None: no limit.
        minimum_blocks: number of blocks to run in any case under a budget.
        placement: ``shared``: parameters of one shape share their memory; for forward passes only.
        control: replaces the baseline's clone; tests pass a slowed one to check that the control fails.
        timer: returns seconds; injected by tests.
        on_block: called after each block with the numbers of blocks done and planned, outside all timing.

    Raises:
        ConfigError: the baseline does not exist, there is nothing to time, or the target is not above 0.
        SubjectError: a subject raised an exception, or its output is NaN, infinite or of another shape; the message
            names the subject.
    """
    _check(subjects, baseline, blocks, cycles, target)
    if placement == "shared" and mode == "train_step":
        raise ConfigError("placement='shared' is for forward passes only: training steps would train shared weights")
    start = timer()
    rng = np.random.default_rng(seed)
    if budget_s is not None:
        warmup_s = min(warmup_s, budget_s / (2 * len(subjects)))
    with torch.inference_mode(mode == "forward"):
        warm = {
            name: warm_up(name, place(name, subject, mode, seed, timer=timer), subject, warmup_s, timer)
            for name, subject in subjects.items()
        }
    participants = {**subjects, CONTROL: control or subjects[baseline]}
    start += sum(subject.cold_ms for subject in warm.values()) / 1e3
    warm[CONTROL] = warm[baseline]
    if budget_s is not None:
        cycle_s = 2 * sum(warm[name].sample_s for name in participants)
        cycles = min(cycles, max(1, int((budget_s - timer() + start) / minimum_blocks / cycle_s)))
    rows: dict[str, list[list[Sample]]] = {name: [] for name in participants}
    log: list[Block] = []
    looks: list[int] = []
    upcoming = stats.interim_looks(first_look)
    next_look = next(upcoming)
    reason: StopReason = "blocks ended"
    before = host_load.read()
    for done in range(1, blocks + 1):
        block_start = timer()
        order = [rng.permutation(list(participants)).tolist() for _ in range(cycles)]
        with placed(participants, mode, rng, placement=placement, timer=timer) as calls:
            parts = {name: (calls[name], subject, warm[name], rows[name]) for name, subject in participants.items()}
            _run_block(order, parts, timer)
        after, end = host_load.read(), timer()
        log.append(Block(order, before.pressure(after), before.steal(after), host_load.load(), end - block_start))
        before = after
        if on_block is not None:
            on_block(done, blocks)
        if target is not None and done == next_look:
            looks.append(done)
            next_look = next(upcoming)
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
        return _samples(rows[name], warm[name], participants[name], mode)

    found = {name: samples(name) for name in subjects}
    return Session(baseline, mode, seed, found, samples(CONTROL), log, placement, target, tuple(looks), reason)


def _run_block(
    order: list[list[str]],
    participants: Mapping[str, tuple[Callable[[], object], Subject, WarmUp, list[list[Sample]]]],
    timer: Timer,
) -> None:
    """Runs the cycles of a block; the last output of each subject must be finite."""
    for *_, rows in participants.values():
        rows.append([])
    for cycle, names in enumerate(order, 1):
        for name in (*names, *reversed(names)):
            call, subject, warm, rows = participants[name]
            sample, output = timed(name, call, subject, warm.loops, timer)
            rows[-1].append(sample)
            check_shapes(name, output, warm.shapes)
            if cycle == len(order) and len(rows[-1]) == 2 * cycle:
                check_output(name, output)


def _samples(rows: list[list[Sample]], warm: WarmUp, subject: Subject, mode: Mode) -> Samples:
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
