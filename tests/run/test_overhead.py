"""What the engine takes of its own: no more for the thousandth trial than for the hundredth, in time and in memory."""

import gc
import itertools
import statistics
import tracemalloc

import pytest

from tests.bench import nothing
from tests.bench.engine import steps, sweep
from vitbench.records.identity import now
from vitbench.records.reader import read
from vitbench.run.executors.job import Result

pytestmark = pytest.mark.slow

TRIALS = 1000


class Instant:
    """An executor whose jobs are done when they are submitted: what is left is the engine's own work."""

    cores, gpus = 1, 0

    def __init__(self):
        self.keys, self.ended, self.traced = itertools.count(), [], []

    def __len__(self):
        return len(self.ended)

    def submit(self, job):
        key = next(self.keys)
        self.ended.append((key, Result(status="ok", value=nothing.measured(job.payload, None), started=now())))
        self.traced.append(tracemalloc.get_traced_memory()[0] if key in (200, 400) else 0)
        return key

    def wait(self, timeout=None, also=()):
        ended, self.ended = self.ended, []
        return ended

    def cancel(self):
        self.ended.clear()

    def close(self):
        self.cancel()


def test_the_thousandth_trial_takes_no_more_than_the_hundredth(tmp_path):
    watch = sweep(tmp_path, TRIALS, Instant())
    took = steps(watch.cpu)
    early, late = (statistics.median(took[a : a + 100]) for a in (100, 898))
    assert late / early < 2, (early, late)  # looking at every earlier record would be nine times as much
    kept = [r for r in read(tmp_path) if r.kind == "accuracy"]
    assert len({r.id for r in kept}) == len(kept) == TRIALS
    assert all(len(r.samples["correct"]["values"]) == nothing.TESTED for r in kept)


def test_what_a_trial_leaves_in_memory_is_little(tmp_path):
    executor = Instant()
    tracemalloc.start()
    try:
        gc.collect()
        sweep(tmp_path, 440, executor)
    finally:
        tracemalloc.stop()
    each = (executor.traced[400] - executor.traced[200]) / 200
    assert each < 6000, each  # a record without its samples; with them it would be 7 kB, and with its arrays 17
