"""The entry points of this package: ``execute`` runs an ablation, ``plan`` tells what that would take. No torch."""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from vitbench.declare.ablation import Ablation
from vitbench.declare.variant import Variant
from vitbench.records.reader import RECORDS, read
from vitbench.records.record import Record
from vitbench.run.executors import open_executor, run_all
from vitbench.run.executors.gpus import MAX_PER_GPU, GpuScheduler
from vitbench.run.executors.job import RESUME
from vitbench.run.executors.local.executor import LocalExecutor
from vitbench.run.executors.protocol import Executor
from vitbench.run.executors.retrying import RetryingExecutor
from vitbench.run.job_requests import job_of
from vitbench.run.outcome import Outcome
from vitbench.run.planning.macs import sampled_macs
from vitbench.run.planning.plan import Plan, check_settings, make_plan
from vitbench.run.planning.trial import Kind, Trial
from vitbench.run.planning.trials import Preflight
from vitbench.run.preflight import run_preflight
from vitbench.run.progress.estimate import Estimate
from vitbench.run.progress.observer import Observer, Observers
from vitbench.run.progress.progress_file import ProgressFile
from vitbench.run.signals import Interrupted, Stop
from vitbench.run.store.result_cache import Replan, ResultCache, reuse_results
from vitbench.run.store.writer import Writer, open_writer
from vitbench.run.sweep import Sweep
from vitbench.utils.errors import UserError
from vitbench.utils.threads import cores


def check_request(
    *, seeds: int | None, jobs: int | None, timeout_s: float | None, budget_s: float | None = None
) -> None:
    """Raises UserError if a number makes no run possible."""
    if seeds is not None and seeds < 1:
        raise UserError(f"--seeds {seeds} is too few: type 1 or more, and 6 or more for a verdict")
    if jobs is not None and jobs < 1:
        raise UserError(f"--jobs {jobs} is too few: type 1 or more; this machine has {cores()} cores")
    for option, seconds in (("--timeout", timeout_s), ("--budget", budget_s)):
        if seconds is not None and not seconds > 0:
            raise UserError(f"{option} {seconds:g} leaves no time: type a number of seconds above 0")


def plan(
    ablation: Ablation,
    *,
    name: str,
    directory: Path | None = None,
    seeds: int | None = None,
    device: str = "cpu",
    jobs: int | None = None,
    timeout_s: float | None = None,
    kinds: Sequence[Kind] | None = None,
    import_path: Path | None = None,
    reuse_from: Path | None = None,
    executor: Executor | None = None,
    preflight: Preflight | None = None,
) -> Plan:
    """What ``execute`` would run, with MACs and an estimate of the time. Writes nothing.

    Raises:
        UserError: as ``execute``.
    """
    check_request(seeds=seeds, jobs=jobs, timeout_s=timeout_s)
    with _use(executor, ablation, import_path) as workers:
        found = preflight or run_preflight(workers, ablation.data, device, ablation.sources)
        common: dict[str, Any] = {"name": name, "timeout_s": timeout_s, "kinds": kinds, "directory": directory}
        seeds = ablation.seeds if seeds is None else seeds
        replan = functools.partial(make_plan, ablation, found, seeds=seeds, **common)
        records = read(directory) if directory and (directory / RECORDS).is_file() else []
        made = _plan_rest(replan, records, directory, reuse_from)

        def count(variants: Sequence[Variant]) -> dict[str, int]:
            sources = tuple(found.sources.items())
            trials = [Trial(kind="cost", variants=(v,), device=found.device, sources=sources) for v in variants]
            results = run_all(workers, [job_of(trial, timeout_s) for trial in trials], workers.cores)
            return {variants[i].name: r.value[0].values["macs"] for i, r in results if r.status == "ok"}

        macs = sampled_macs(made.variants, count)
        estimate = Estimate(found.data["num_train"], _side_by_side(jobs, found.device, workers), macs)
    return dataclasses.replace(made, macs=macs, seconds=estimate.remaining(estimate.guesses(made.trials)))


def execute(
    ablation: Ablation,
    *,
    name: str,
    directory: Path,
    seeds: int | None = None,
    device: str = "cpu",
    jobs: int | None = None,
    timeout_s: float | None = None,
    budget_s: float | None = None,
    kinds: Sequence[Kind] | None = None,
    command: str = "",
    summary: str = "",
    import_path: Path | None = None,
    reuse_from: Path | None = None,
    watch: Observer | None = None,
    fresh: bool = False,
    wait: bool = False,
    executor: Executor | None = None,
    preflight: Preflight | None = None,
) -> Outcome:
    """Runs the trials that the folder does not hold yet.

    Args:
        ablation: what to run.
        name: its name in the records.
        directory: the results folder; it is made if it does not exist.
        seeds: the number of seeds; default: the ablation's.
        device: ``cpu``, ``cuda`` or ``auto``.
        jobs: the number of trainings side by side; default: one per core, on GPUs as many as fit.
        timeout_s: the limit for a trial; in a timing session, for a variant.
        budget_s: the time after which no trial starts; running ones finish.
        kinds: what to measure; default: every registered quantity.
        command: the command line, for the report.
        summary: the docstring of the ablation file, for the report.
        import_path: a folder where the modules of external models are found: the one of the ablation file.
        reuse_from: a folder of results folders, whose results are reused.
        watch: told what happens.
        fresh: moves an existing folder aside first.
        wait: waits until no other process writes the folder; the budget starts then.
        executor: a running executor, which stays open; default: a new one on this machine.
        preflight: the result of ``run_preflight``, if it was called already.

    Raises:
        UserError: the folder cannot be written, another process is writing it, or it holds records of other settings;
            or there is no such data set or device. Recorded results are kept.
    """
    check_request(seeds=seeds, jobs=jobs, timeout_s=timeout_s, budget_s=budget_s)
    watch = watch or Observer()
    with (
        open_writer(directory, watch.note, fresh=fresh, wait=wait) as writer,
        _use(executor, ablation, import_path) as workers,
        ProgressFile(directory, command) as progress_file,
    ):
        watch = Observers(watch, progress_file)
        start = time.monotonic()
        found = preflight or run_preflight(workers, ablation.data, device, ablation.sources)
        common: dict[str, Any] = {"name": name, "timeout_s": timeout_s, "kinds": kinds, "directory": directory}
        seeds = ablation.seeds if seeds is None else seeds
        replan = functools.partial(make_plan, ablation, found, seeds=seeds, **common)
        made = _plan_rest(replan, writer.records, directory, reuse_from, writer)
        scheduled = GpuScheduler(workers, found.gpu_bytes) if found.gpu_bytes and not workers.gpus else workers
        stopped = False
        with Stop.on_interrupt() as stop:
            sweep = Sweep(
                made,
                writer,
                RetryingExecutor(scheduled, watch.note, isolate_last=isinstance(workers, LocalExecutor)),
                watch,
                stop,
                side_by_side=lambda: _side_by_side(jobs, found.device, scheduled),
                timeout_s=timeout_s,
                ends=math.inf if budget_s is None else start + budget_s,
            )
            sweep.open(command, summary)
            for sentence in made.reuse_notes:
                watch.note(sentence)
            sweep.seconds["start-up"] = time.monotonic() - start
            try:
                sweep.run()
            except Interrupted:
                stopped = True
            except OSError as error:
                raise UserError(f"{error.filename or directory}: {error.strerror}; {RESUME}") from error
            progress_file.interrupted = stop.requested
    return Outcome(
        done=sweep.done,
        reused=len(made.reused),
        failed=sweep.failed + len(made.failures),
        skipped=sum(v.model is None for v in made.variants),
        left=sweep.left,
        interrupted=stop.requested,
        seconds={**sweep.seconds, "total": time.monotonic() - start},
        stopped=stopped,
    )


def _plan_rest(
    replan: Replan,
    records: Sequence[Record],
    directory: Path | None,
    reuse_from: Path | None,
    writer: Writer | None = None,
) -> Plan:
    """The plan of what neither this folder nor the folders in ``reuse_from`` hold; with a writer, these are copied."""
    made = replan(records=records)
    if directory is None:
        return made
    check_settings(made, records, directory)
    if reuse_from is None:
        return made
    return reuse_results(made, replan, ResultCache(made, directory, reuse_from), records, writer)


def _use(given: Executor | None, ablation: Ablation, import_path: Path | None) -> AbstractContextManager[Executor]:
    """The given executor, which stays open, or a new one on this machine."""
    if given is not None:  # not its truth: an executor without jobs has the length 0
        return nullcontext(given)
    return open_executor(threads=ablation.measure.threads, import_path=import_path)


def _side_by_side(jobs: int | None, device: str, executor: Executor) -> int:
    """The number of trainings side by side; on GPUs not more than there are cores to feed them."""
    most = max(1, MAX_PER_GPU * executor.gpus) if device == "cuda" else executor.cores
    return jobs or min(most, executor.cores)
