"""One timed sample: the only place where a clock is read around a subject's call. Nothing else happens in between.

Under a millisecond a sample is a loop of calls, so that the clock's own cost and grain do not count.
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
from vitbench.measure.timing.subject import Call, Subject, SubjectError, blame, form
from vitbench.measure.timing.train_step import Step, new_event

LOOP_BELOW_S = 1e-3
"""Shorter calls are repeated inside the timer."""

Timer = Callable[[], float]


class Sample(NamedTuple):
    """Seconds per call, and involuntary switches within the sample."""

    wall: float
    cpu: float  # of the calling thread on a core
    switches: int
    device: float  # between events on a CUDA device, else NaN
    forward: float  # of a training step, else NaN
    backward: float


@dataclass(frozen=True)
class Warm:
    """What warming up tells of a subject."""

    cold_ms: float  # the first call
    loops: int  # calls that make a sample of a millisecond
    sample_s: float
    form: Any  # of its output: shapes, which must not change


def timed(name: str, call: Call, subject: Subject, loops: int, timer: Timer) -> tuple[Sample, Any]:
    """A sample of ``loops`` calls in a row, and the last one's output.

    Raises:
        SubjectError: it raised, or the clock did not go forward.
    """
    step = call if isinstance(call, Step) else None
    wait = subject.synchronize if subject.asynchronous else None
    repeat = itertools.repeat(None, loops)
    device = forward = backward = math.nan
    with blame(name):
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


def warm_up(name: str, call: Call, subject: Subject, warmup_s: float, timer: Timer) -> Warm:
    """At least 3 calls, until the medians of the last 3 and of the 3 before agree within 5 %, or the time is over."""
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
    return Warm(1e3 * first.wall, loops, loops * call_s, form(output))
