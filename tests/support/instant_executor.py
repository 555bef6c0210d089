"""A sweep whose trials take no time and no process: what the sweep makes of their results is real."""

import dataclasses
import os
import signal

from vitbench.declare.ablation import Ablation
from vitbench.declare.train import TrainConfig
from vitbench.declare.tuning import Tuning
from vitbench.declare.vit import ViTConfig
from vitbench.records.identity import now
from vitbench.run import execute
from vitbench.run.executors.job import Result
from vitbench.run.measuring_functions import Measured
from vitbench.run.planning.trials import Preflight

DATA = {
    "name": "digits", "version": "1", "img_size": 8, "in_chans": 1, "num_classes": 10, "classes": list("0123456789"),
    "num_train": 1077, "num_val": 360, "num_test": 360, "chance": 0.1,
}  # fmt: skip
SURVEY = Preflight(device="cpu", data=DATA, torch={})
TINY = ViTConfig(img_size=8, patch_size=4, in_chans=1, num_classes=10, embed_dim=16, depth=1, num_heads=2)
PATCH = Ablation(question="Which patch?", baseline=TINY, axes={"patch_size": (2, 3, 4)}, train=TrainConfig(epochs=1))
TUNED = dataclasses.replace(PATCH, axes={"depth": (1, 2)}, tuning=Tuning(tries=2, seeds=1))
COMMAND = "python -m vitbench.ablate patch"


class InstantExecutor:
    """Makes up the results of jobs.

    Args:
        result: of a job, ``Result`` or None for a plausible one; may do anything else first.
        cores: how many trainings are in parallel.
    """

    gpus = 0

    def __init__(self, result=lambda job: None, cores=1):
        self.result, self.cores = result, cores
        self.waiting, self.submitted = {}, 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __len__(self):
        return len(self.waiting)

    def submit(self, job):
        self.submitted += 1
        self.waiting[self.submitted] = job
        return self.submitted

    def wait(self, timeout=None, also=()):
        key, job = next(iter(self.waiting.items()))
        result = self.result(job) or measured(job)
        del self.waiting[key]
        return [(key, result)]

    def cancel(self):
        self.waiting.clear()

    close = cancel


def measured(job):
    """A result with the values that the sweep itself reads."""
    if job.function.endswith(":probe"):
        return Result(status="ok", started=now())
    trial = job.payload
    rows = [Measured(variant.name, values_of(trial)) for variant in trial.variants]
    if trial.kind in {"latency", "train_step"}:
        rows.append(dataclasses.replace(rows[0], control=True))
    return Result(status="ok", value=rows, started=now(), seconds=1.0)


def values_of(trial):
    if trial.kind == "cost":
        return {"params": 1, "macs": 1000, "flops": 2000, "activations": 1}
    if trial.kind in {"accuracy", "tuning"}:
        return {"accuracy": 0.5, "val_accuracy": 0.5, "total_seconds": 1.0}
    peak = dict.fromkeys(("bytes", "parameters", "gradients", "optimizer"), 1)
    return {"training": peak, "inference": peak, "batch_size": 8}


def failed(reason, status="failed"):
    return Result(status=status, reason=reason, started=now())


def interrupt():
    """Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)


def sweep(folder, executor, ablation=PATCH, **changes):
    common = {"name": "patch", "seeds": 2, "command": COMMAND, "preflight": SURVEY, "jobs": executor.cores}
    return execute(ablation, directory=folder, executor=executor, **common | changes)
