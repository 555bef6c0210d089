"""Timed samples of a subject's calls, and its warm-up. The clock is read around the calls and nothing else.

Calls under a millisecond are repeated within a sample, so that the clock's overhead and resolution do not matter.
"""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from vitbench.measure.timing import host_load
from vitbench.measure.timing.subject import Call, Subject, SubjectError, as_subject_error, output_shapes
from vitbench.measure.timing.train_step import Step, new_event

LOOP_BELOW_S = 1e-3
"""Calls shorter than this are repeated within a sample."""

Timer = Callable[[], float]


class Sample(NamedTuple):
    """Seconds per call, and involuntary context switches within the sample."""

    wall: float
    cpu: float  # CPU time of the calling thread
    switches: int
    device: float  # between CUDA events; NaN on other devices
    forward: float  # of a training step; else NaN
    backward: float


@dataclass(frozen=True)
class WarmUp:
    """What the warm-up found out about a subject."""

    cold_ms: float  # of the first call
    loops: int  # calls per sample
    sample_s: float
    shapes: Any  # of the output, which must not change


def timed(name: str, call: Call, subject: Subject, loops: int, timer: Timer) -> tuple[Sample, Any]:
    """A sample of ``loops`` consecutive calls, and the output of the last one.

    Raises:
        SubjectError: the subject raised an exception, or the clock did not advance.
    """
    step = call if isinstance(call, Step) else None
    wait = subject.synchronize if subject.asynchronous else None
    repeat = itertools.repeat(None, loops)
    device = forward = backward = math.nan
    with as_subject_error(name):
        subject.announce()
        if step is not None:
            step.phases()
        if wait is not None:
            wait()
            events = new_event(), new_event()
        switches, cpu = host_load.involuntary_switches(), time.thread_time()
        start = timer()
        if wait is None:
            for _ in repeat:
                output = call()
        else:
            events[0].record()
            for _ in repeat:
                output = call()
            events[1].record()
            wait()
        end = timer()
        cpu, switches = time.thread_time() - cpu, host_load.involuntary_switches() - switches
        if wait is not None:
            device = events[0].elapsed_time(events[1]) / 1e3 / loops
        if step is not None:
            forward, backward = (seconds / loops for seconds in step.phases())
    if not end > start:
        raise SubjectError(name, f"the clock went from {start} s to {end} s during a call")
    return Sample((end - start) / loops, cpu / loops, switches, device, forward, backward), output


def warm_up(name: str, call: Call, subject: Subject, warmup_s: float, timer: Timer) -> WarmUp:
    """Calls the subject at least 3 times, until medians of successive triples agree within 5 % or the time is over."""
    first, output = timed(name, call, subject, 1, timer)
    start = timer()
    calls = [timed(name, call, subject, 1, timer)[0].wall for _ in range(3)]
    while timer() - start < warmup_s:
        last, before = statistics.median(calls[-3:]), statistics.median(calls[-6:-3] or [math.inf])
        if len(calls) >= 6 and abs(last - before) <= 0.05 * before:
            break
        calls.append(timed(name, call, subject, 1, timer)[0].wall)
    call_s = statistics.median(calls[-3:])
    loops = max(1, math.ceil(LOOP_BELOW_S / call_s))
    return WarmUp(1e3 * first.wall, loops, loops * call_s, output_shapes(output))
