"""A trial as the job that an executor is asked for: what it runs, and what it needs."""

from __future__ import annotations

from collections.abc import Sequence

from vitbench.run.executors.gpus import gpu_share
from vitbench.run.executors.job import Job
from vitbench.run.planning.trial import TRAINED, Kind, Trial

MODELLED: tuple[Kind, ...] = ("cost", "memory")
"""Kinds that use neither the device nor a clock, so that they may be forked and go side by side whatever it is."""


def job_of(
    trial: Trial,
    timeout_s: float | None,
    function: str | None = None,
    *,
    memory_bytes: int = 0,
    gpu_bytes: Sequence[int] = (),
) -> Job:
    """The job that a trial is; a CUDA context does not survive a fork, so those jobs are spawned.

    What is timed is alone on its machine, and so are the ceilings that it is held against; a probe is not timed.

    Args:
        trial: to be run.
        timeout_s: for one trial, or one variant of a session.
        function: of ``kinds``, where it is not the one for the trial's kind.
        memory_bytes: that it is modelled to need; 0 where that is not known.
        gpu_bytes: memory of each GPU.
    """
    on_card = trial.device == "cuda" and trial.kind not in MODELLED
    return Job(
        function=f"vitbench.run.jobs:{function or trial.kind}",
        payload=trial,
        timeout_s=timeout_s,
        spawn=on_card,
        cores=1 if trial.kind in TRAINED else trial.variants[0].measure.threads,
        gpus=gpu_share(memory_bytes, gpu_bytes) if on_card else 0.0,
        memory_bytes=memory_bytes,
        alone=function is None and (trial.alone or trial.kind == "ceiling"),
    )
