"""A trial as the job that an executor is asked for: what it runs, and what it needs."""

from __future__ import annotations

from collections.abc import Sequence

from vitbench.run.executors.gpus import gpu_share
from vitbench.run.executors.job import Job
from vitbench.run.planning.trial import Trial

PROBE = "vitbench.run.measuring_functions:probe"
"""One call of a variant, before it is timed."""


def job_of(
    trial: Trial,
    timeout_s: float | None,
    function: str | None = None,
    *,
    memory_bytes: int = 0,
    gpu_bytes: Sequence[int] = (),
) -> Job:
    """The job that measures a trial.

    A CUDA context does not survive a fork, so jobs on a GPU are spawned.

    Args:
        trial: to be run.
        timeout_s: for one trial, or one variant of a session.
        function: ``module:function`` to run instead of the quantity's own; such a job does not need the machine alone.
        memory_bytes: what the model predicts that it needs; 0 where that is not known.
        gpu_bytes: memory of each GPU.
    """
    quantity = trial.quantity
    on_gpu = trial.device == "cuda" and quantity.uses_device
    return Job(
        function=function or quantity.measure,
        payload=trial,
        timeout_s=timeout_s,
        spawn=on_gpu,
        cores=1 if quantity.trained else trial.variants[0].measure.threads,
        gpus=gpu_share(memory_bytes, gpu_bytes) if on_gpu else 0.0,
        memory_bytes=memory_bytes,
        alone=function is None and quantity.exclusive,
    )
