"""What the sweep engine itself takes, and what more workers bring.

    python -m tests.bench.engine overhead         # 1,000 trials of no work: ms a trial, memory of the driver
    python -m tests.bench.engine jobs             # the real command, --jobs 2 against --jobs 1, five interleaved pairs

Run them on a quiet machine: both measure wall-clock time. The trials of ``overhead`` go through everything that real
ones do (plan, queue, fork server, records, artifacts, disk), only the training is missing.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import itertools
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench import nothing
from vitbench.declare.ablation import Ablation
from vitbench.declare.measure import MeasureConfig
from vitbench.declare.train import TrainConfig
from vitbench.declare.vit import ViTConfig
from vitbench.records.reader import read
from vitbench.records.record import Record
from vitbench.run import execute
from vitbench.run.executors.job import Job
from vitbench.run.executors.local.executor import LocalExecutor
from vitbench.run.executors.local.fork_server import PRELOAD
from vitbench.run.executors.protocol import Executor
from vitbench.run.planning.trial import Trial
from vitbench.run.planning.trials import Preflight
from vitbench.run.progress.observer import Observer
from vitbench.run.store.writer import Writer

ROOT = Path(__file__).parents[2]
DIGITS = {
    "name": "digits", "version": "1", "img_size": 8, "in_chans": 1, "num_classes": 10,
    "classes": [str(i) for i in range(10)], "num_train": 1077, "num_val": 360, "num_test": 360, "chance": 0.1,
}  # fmt: skip
VARIANTS = {"depth": (1, 2, 3, 4, 5), "mlp_ratio": (1.0, 2.0, 3.0, 4.0), "qkv_bias": (True, False)}
EACH = 40
"""Variants of that grid."""

PAIRS, SEEDS, EPOCHS = 5, 10, 8
DECLARED = f'''"""Does depth help? For timing the engine."""
from vitbench import Ablation, MeasureConfig, TrainConfig, ViTConfig

ABLATION = Ablation(
    question="Does depth help?",
    baseline=ViTConfig(img_size=8, patch_size=2, in_chans=1, num_classes=10, embed_dim=32, depth=2, num_heads=2),
    axes={{"depth": (2, 3)}},
    train=TrainConfig(epochs={EPOCHS}),
    measure=MeasureConfig(blocks=2, cycles=1, warmup_s=0.0),
    seeds={SEEDS},
)
'''


class Idle(LocalExecutor):
    """A local executor whose workers do nothing for every trial, whatever it is."""

    def __init__(self) -> None:
        super().__init__(import_path=ROOT, preload=(*PRELOAD, nothing.__name__))

    def submit(self, job: Job) -> int:
        return super().submit(dataclasses.replace(job, function=f"{nothing.__name__}:measured"))


class Watch(Observer):
    """When each trial ended, how long its worker lived, and the driver's memory then."""

    def __init__(self) -> None:
        self.ended: list[float] = []
        self.cpu: list[float] = []
        self.worker: list[float] = []
        self.resident: list[int] = []

    def finished(self, trial: Trial, records: list[Record]) -> None:
        self.ended.append(time.perf_counter())
        self.cpu.append(time.process_time())
        self.worker.append(records[0].seconds)
        self.resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))


def sweep(directory: Path, trials: int, executor: Executor) -> Watch:
    """Runs so many accuracy trials, one after another."""
    watch = Watch()
    declared = Ablation(
        question="What does nothing cost?",
        baseline=ViTConfig(img_size=8, patch_size=2, in_chans=1, num_classes=10, embed_dim=16, depth=1, num_heads=2),
        axes=VARIANTS,
        design="grid",
        train=TrainConfig(epochs=nothing.EPOCHS),
        measure=MeasureConfig(),
        seeds=trials // EACH,
    )
    preflight = Preflight("cpu", DIGITS, {"version": "none"})
    outcome = execute(
        declared, name="nothing", directory=directory, jobs=1, kinds=("accuracy",), watch=watch,
        executor=executor, preflight=preflight,
    )  # fmt: skip
    if (outcome.done, outcome.failed) != (trials, 0):
        raise RuntimeError(f"{outcome.done} of {trials} trials done, {outcome.failed} failed")
    return watch


def overhead(trials: int) -> None:
    """Prints what a trial of no work takes, and the driver's memory."""
    writing = {"lines": 0.0, "artifacts": 0.0}

    def timed(name: str, part: str) -> None:
        method = getattr(Writer, name)

        def taking(*given: object) -> object:
            start = time.perf_counter()
            try:
                return method(*given)
            finally:
                writing[part] += time.perf_counter() - start

        setattr(Writer, name, taking)

    timed("append_many", "lines")
    timed("save_arrays", "artifacts")
    with tempfile.TemporaryDirectory() as place, Idle() as executor:
        watch = sweep(Path(place), trials, executor)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = [1000 * s for s in steps(watch.ended)]
    cpu = 1000 * (watch.cpu[-1] - watch.cpu[0]) / (trials - 1)
    worker = 1000 * statistics.fmean(watch.worker)
    written = {part: 1000 * seconds / trials for part, seconds in writing.items()}
    print(f"{trials} trials of no work, one after another: {statistics.fmean(took):.1f} ms each (target: 50)")
    print(
        f"  median {statistics.median(took):.1f} ms, slowest {max(took):.1f} ms; the driver's own CPU time {cpu:.1f} ms"
    )
    print(f"  from submission to the worker's end {worker:.1f} ms (pickling, fork, job, result, exit)")
    print(f"  record on the disk {written['lines']:.1f} ms, artifact on the disk {written['artifacts']:.1f} ms")
    print(
        f"  CPU time of server and workers {1000 * (used.ru_utime + used.ru_stime) / trials:.1f} ms, its start among it"
    )
    for name, values in (("ms", took), ("driver's CPU ms", [1000 * s for s in steps(watch.cpu)])):
        early, late = (statistics.median(values[a : a + 100]) for a in (100, trials - 101))
        print(f"  trials {trials - 100} to {trials} against 100 to 200: {late:.2f} against {early:.2f} {name}")
    mib = [watch.resident[at - 1] / 2**20 for at in (100, trials)]
    print(f"driver's resident memory: {mib[0]:.1f} MiB after 100 trials, {mib[1]:.1f} MiB after {trials}")


def steps(times: Sequence[float]) -> list[float]:
    """What each took, after the first."""
    return [after - before for before, after in itertools.pairwise(times)]


def jobs(pairs: int) -> None:
    """Prints trials a minute of ``--jobs 1`` and ``--jobs 2``, and the median of their ratio."""
    ratios = []
    for number in range(pairs):
        rates = {at_once: trials_a_minute(at_once) for at_once in ((1, 2) if number % 2 == 0 else (2, 1))}
        ratios.append(rates[2] / rates[1])
        print(
            f"pair {number + 1}: {rates[1]:.1f} and {rates[2]:.1f} trials a minute, ratio {ratios[-1]:.3f}", flush=True
        )
    shown = ", ".join(f"{ratio:.3f}" for ratio in sorted(ratios))
    print(f"--jobs 2 against --jobs 1: median ratio {statistics.median(ratios):.3f} of {shown} (target: 1.8)")


def trials_a_minute(at_once: int) -> float:
    """Accuracy trials a minute of a whole run of the command, from the first one's start to the last one's end."""
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "engine.py").write_text(DECLARED)
        command = [sys.executable, "-m", "vitbench.ablate", "./engine.py", "--jobs", str(at_once)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run(command, check=True, capture_output=True, cwd=place, env=environment)
        found = [r for r in read(Path(place) / "results" / "engine") if r.kind == "accuracy"]
    starts = [dt.datetime.fromisoformat(r.started).timestamp() for r in found]
    ends = [start + r.seconds for start, r in zip(starts, found, strict=True)]
    if not all(r.ok for r in found) or len(found) != 2 * SEEDS:
        raise RuntimeError(f"{len(found)} accuracy trials are recorded, {sum(r.ok for r in found)} of them well")
    return 60 * len(found) / (max(ends) - min(starts))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("overhead", "jobs"))
    parser.add_argument("--trials", type=int, default=1000, help=f"of overhead; a multiple of {EACH} (1000)")
    parser.add_argument("--pairs", type=int, default=PAIRS, help=f"of jobs ({PAIRS})")
    given = parser.parse_args(argv)
    if given.what == "overhead":
        overhead(given.trials)
    else:
        jobs(given.pairs)


if __name__ == "__main__":
    main()
