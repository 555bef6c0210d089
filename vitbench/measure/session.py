"""A timing session: all variants and an A/A control timed together, in blocks (MEASUREMENT.md, Latency).

Timed one after another, two copies of one model differ by over 3 % in most comparisons on a shared machine; and two
copies in one process can really differ by tens of percent through where they lie in memory. So:

- a *cycle* calls every subject in random order, then in the mirrored order: linear drift cancels;
- a *block* is a fresh placement of all subjects in memory and a few cycles; blocks are the units of every interval;
- a clone of the baseline takes part in every cycle: if it is found to differ from the baseline, nothing is believed.

What it leaves out: loading data, moving it to the device, the first call (apart, as ``cold_ms``).
"""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from vitbench.errors import ConfigError, unknown
from vitbench.measure import host
from vitbench.measure.subject import Call, Mode, Subject, SubjectError, blame, place, placed
from vitbench.stats.estimates import FloatArray, control_holds, log_ratio_blocks, mean_interval

CONTROL = "A/A control"
"""The name of the baseline's clone in the order log."""

LOOP_BELOW_S = 1e-3
"""Shorter calls are repeated inside the timer."""

Timer = Callable[[], float]


@dataclass(frozen=True)
class Samples:
    """The raw calls of one subject, each array (blocks, 2·cycles): columns 2c, 2c + 1 are cycle c and its mirror."""

    wall: FloatArray  # seconds per call
    cpu: FloatArray  # seconds per call of the calling thread on a core
    switches: NDArray[np.int64]  # involuntary, within the sample
    loops: int  # calls within a sample; wall and cpu are divided by it
    cold_ms: float  # the first call
    batch_size: int


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

    def log_ratios(self, name: str) -> FloatArray:
        """One log-ratio against the baseline a block, (blocks,)."""
        return log_ratio_blocks(self.samples[name].wall, self.samples[self.baseline].wall)

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


@dataclass(frozen=True)
class _Warm:
    """What warming up tells of a subject."""

    cold_ms: float  # the first call
    loops: int  # calls that make a sample of a millisecond
    sample_s: float


def _timed(name: str, call: Call, subject: Subject, loops: int, timer: Timer) -> tuple[float, float, int]:
    """Wall and thread CPU seconds per call, and involuntary switches, of ``loops`` calls in a row."""
    repeat = itertools.repeat(None, loops)
    with blame(name):
        subject.synchronize()
        switches, cpu = host.involuntary_switches(), time.thread_time()
        start = timer()
        for _ in repeat:
            call()
        subject.synchronize()
        wall = timer() - start
        cpu, switches = time.thread_time() - cpu, host.involuntary_switches() - switches
    if not wall > 0:
        raise SubjectError(name, f"the clock went from {start} s to {start + wall} s during a call")
    return wall / loops, cpu / loops, switches


def _warm_up(name: str, call: Call, subject: Subject, warmup_s: float, timer: Timer) -> _Warm:
    """At least 3 calls, until the medians of the last 3 and of the 3 before agree within 5 %, or the time is over."""
    cold = _timed(name, call, subject, 1, timer)[0]
    start = timer()
    calls = [_timed(name, call, subject, 1, timer)[0] for _ in range(3)]
    while timer() - start < warmup_s:
        last, before = statistics.median(calls[-3:]), statistics.median(calls[-6:-3] or [math.inf])
        if len(calls) >= 6 and abs(last - before) <= 0.05 * before:
            break
        calls.append(_timed(name, call, subject, 1, timer)[0])
    call_s = statistics.median(calls[-3:])
    loops = max(1, math.ceil(LOOP_BELOW_S / call_s))
    return _Warm(1e3 * cold, loops, loops * call_s)


def _check(subjects: Mapping[str, Subject], baseline: str, blocks: int, cycles: int) -> None:
    if baseline not in subjects:
        raise ConfigError(unknown("baseline", baseline, subjects))
    if CONTROL in subjects:
        raise ConfigError(f"a subject cannot be called {CONTROL!r}: that is the baseline's clone; choose another name")
    if blocks < 1 or cycles < 1:
        raise ConfigError(f"blocks={blocks}, cycles={cycles} times nothing: both take 1 or more")


def run_session(
    subjects: Mapping[str, Subject],
    *,
    baseline: str,
    blocks: int = 12,
    cycles: int = 6,
    seed: int = 0,
    mode: Mode = "forward",
    warmup_s: float = 2.0,
    budget_s: float | None = None,
    minimum_blocks: int = 6,
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
        budget_s: blocks have as many cycles as let ``minimum_blocks`` of them end in this time, one at least; and no
            further block is begun that would end later. First calls, which may compile, do not count. None: all are
            run.
        minimum_blocks: under a budget.
        control: stands in for the baseline's clone; a slowed one shows that the control fires.
        timer: seconds; injected by tests.
        on_block: called with blocks done and planned after each, outside all timing.

    Raises:
        ConfigError: no such baseline, nothing to time.
        SubjectError: a subject raised, or put out NaN or infinity; it names the subject.
    """
    _check(subjects, baseline, blocks, cycles)
    start = timer()
    rng = np.random.default_rng(seed)
    if budget_s is not None:
        warmup_s = min(warmup_s, budget_s / (2 * len(subjects)))
    with torch.inference_mode(mode == "forward"):
        warm = {
            name: _warm_up(name, place(name, subject, mode, seed), subject, warmup_s, timer)
            for name, subject in subjects.items()
        }
    everyone = {**subjects, CONTROL: control or subjects[baseline]}
    start += sum(subject.cold_ms for subject in warm.values()) / 1e3
    warm[CONTROL] = warm[baseline]
    loops = {name: warm[name].loops for name in everyone}
    if budget_s is not None:
        cycle_s = 2 * sum(warm[name].sample_s for name in everyone)
        cycles = min(cycles, max(1, int((budget_s - timer() + start) / minimum_blocks / cycle_s)))
    rows: dict[str, list[list[tuple[float, float, int]]]] = {name: [] for name in everyone}
    log: list[Block] = []
    for index in range(blocks):
        block_start, before = timer(), host.read()
        order = [rng.permutation(list(everyone)).tolist() for _ in range(cycles)]
        with placed(everyone, mode, rng) as calls:
            for name in everyone:
                rows[name].append([])
            for names in order:
                for name in (*names, *reversed(names)):
                    rows[name][-1].append(_timed(name, calls[name], everyone[name], loops[name], timer))
        after, end = host.read(), timer()
        log.append(Block(order, before.pressure(after), before.steal(after), host.load(), end - block_start))
        if on_block is not None:
            on_block(index + 1, blocks)
        longest = max(block.seconds for block in log)
        if budget_s is not None and index + 1 >= minimum_blocks and end + longest - start > budget_s:
            break

    def samples(name: str) -> Samples:
        wall, cpu, switches = np.moveaxis(np.array(rows[name]), -1, 0)
        return Samples(wall, cpu, switches.astype(np.int64), loops[name], warm[name].cold_ms, everyone[name].batch_size)

    return Session(baseline, mode, seed, {name: samples(name) for name in subjects}, samples(CONTROL), log)
