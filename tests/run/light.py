"""A sweep without torch, for tests of what becomes of it: the scheduler, server, writer and signals are the real ones.

Its jobs sleep instead of training, so that a run begins in a tenth of the time, and each notes when it begins.
"""

import os
import time
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from vitbench.declare.ablation import Ablation
from vitbench.declare.measure import MeasureConfig
from vitbench.declare.train import TrainConfig
from vitbench.declare.vit import ViTConfig
from vitbench.run import execute
from vitbench.run.executors.job import Job
from vitbench.run.executors.local.executor import LocalExecutor
from vitbench.run.measuring_functions import Measured
from vitbench.run.planning.trials import Preflight

DATA = {
    "name": "digits", "version": "1", "img_size": 8, "in_chans": 1, "num_classes": 10, "num_train": 10, "num_val": 4,
    "num_test": 4, "classes": list("0123456789"),
}  # fmt: skip
KINDS = ("cost", "latency", "train_step", "accuracy")


class Light(LocalExecutor):
    """Runs the functions below in the place of each trial's own."""

    def submit(self, job: Job) -> int:
        probes = job.function.endswith(":probe")
        return super().submit(replace(job, function="light:probe" if probes else "light:measure"))


def probe(trial, on):
    """Whatever can be called."""


def measure(trial, on):
    """Plausible numbers, the same each time, after a while."""
    name = trial.only_id if not trial.alone else trial.session
    with Path(os.environ["LIGHT_LOG"]).open("ab", buffering=0) as log:
        log.write(f"{trial.kind}:{name}\n".encode())
    draw = np.random.default_rng(zlib.crc32(name.encode()))
    time.sleep(draw.uniform(0.5, 1.5) * float(os.environ.get("LIGHT_SECONDS", "0.2")))
    if trial.alone:
        samples = {"wall": {"unit": "s", "values": draw.random((2, 4)).tolist()}}
        rows = [Measured(v.name, {"batch_size": 8}, samples) for v in trial.variants]
        return [*rows, Measured(trial.variants[0].name, {"batch_size": 8}, samples, control=True)]
    (variant,) = trial.variants
    if trial.kind == "cost":
        return [Measured(variant.name, {"params": 1, "macs": 1000, "flops": 2000, "activations": 1})]
    values = {"accuracy": float(draw.random()), "total_seconds": 0.1}
    return [Measured(variant.name, values, {}, {"predictions": draw.integers(0, 10, 400)})]


def run(folder, **changes):
    """Two costs, two sessions and 56 accuracies: 60 trials."""
    ablation = Ablation(
        question="What is lost?",
        baseline=ViTConfig(img_size=8, patch_size=4, in_chans=1, num_classes=10, embed_dim=16, depth=1, num_heads=2),
        axes={"depth": (1, 2)},
        train=TrainConfig(epochs=1),
        measure=MeasureConfig(blocks=2, cycles=1, warmup_s=0.0),
        seeds=28,
    )
    here = Path(__file__).parent
    with Light(import_path=here, preload=("vitbench.run.executors.job", "light")) as executor:
        return execute(
            ablation,
            name="light",
            directory=Path(folder) / "results",
            jobs=2,
            kinds=KINDS,
            executor=executor,
            preflight=Preflight(device="cpu", data=DATA, torch={}),
            **changes,
        )
