"""The room's face: ``execute`` an ablation into a results folder, ``plan`` what that would take. Without torch."""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitbench.declare.ablation import Ablation, Variant
from vitbench.records.reader import RECORDS, read
from vitbench.run.executors.gpus import MOST, OnCards
from vitbench.run.executors.job import Job, Result
from vitbench.run.executors.local.executor import GOES_ON, LocalExecutor
from vitbench.run.executors.protocol import Executor, run_all
from vitbench.run.executors.retrying import Repeating
from vitbench.run.job_requests import job_of
from vitbench.run.planning.macs import sampled_macs
from vitbench.run.planning.plan import Plan, check_settings, make_plan
from vitbench.run.planning.result_cache import Shelf, take_over, would_take_over
from vitbench.run.planning.trial import Kind, Trial
from vitbench.run.planning.trials import Survey
from vitbench.run.progress.observer import Estimate, Observer
from vitbench.run.signals import Interrupted, Stop
from vitbench.run.store.wait_for_lock import take
from vitbench.run.sweep import Sweep
from vitbench.utils.errors import UserError
from vitbench.utils.threads import cores


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        done: trials measured in this run.
        reused: trials whose records were there already.
        failed: what could not be measured, in this run or an earlier one; records say why.
        skipped: impossible cells.
        left: trials not begun: the budget, or Ctrl-C, ended the run early; the same command goes on.
        interrupted: it was Ctrl-C, or a signal that asks for the end.
        stopped: at once: what ran was ended too.
        seconds: wall-clock seconds, by what they went into; ``around …``: starting, loading and waiting.
    """

    done: int
    reused: int
    failed: int
    skipped: int
    left: int
    interrupted: bool
    seconds: dict[str, float]
    stopped: bool = False


def check_request(
    *, seeds: int | None, jobs: int | None, timeout_s: float | None, budget_s: float | None = None
) -> None:
    """Raises UserError where a number makes no run possible; it needs neither a worker nor a folder to say so."""
    if seeds is not None and seeds < 1:
        raise UserError(f"--seeds {seeds} is too few: type 1 or more, and 6 or more for a verdict")
    if jobs is not None and jobs < 1:
        raise UserError(f"--jobs {jobs} is too few: type 1 or more, this machine has {cores()} cores")
    for option, seconds in (("--timeout", timeout_s), ("--budget", budget_s)):
        if seconds is not None and not seconds > 0:
            raise UserError(f"{option} {seconds:g} leaves no time: type a number of seconds above 0")


def survey(executor: Executor, data: str, device: str = "cpu", sources: Sequence[str] = ()) -> Survey:
    """Describes the data set and finds the device, external models and checkpoints, in a worker.

    Args:
        executor: whose worker does it.
        data: the data set's name.
        device: ``cpu``, ``cuda`` or ``auto``.
        sources: external models and checkpoints, whose files are part of what determines a number.

    Raises:
        UserError: there is no such data set, checkpoint or device.
    """
    wanted = {"data": data, "device": device, "sources": list(sources)}
    gpus = {"cpu": 0, "cuda": 1}.get(device, min(1, executor.gpus))
    job = Job(function="vitbench.run.preflight:survey", payload=wanted, spawn=device != "cpu", gpus=gpus)
    ((_, result),) = run_all(executor, [job])
    if result.status != "ok":
        raise UserError(result.reason or result.status)
    return Survey(**result.value)


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
    shared: Path | None = None,
    executor: Executor | None = None,
    surveyed: Survey | None = None,
) -> Plan:
    """What ``execute`` would run, with MACs and an estimate of the time; writes nothing.

    Raises:
        UserError: as ``execute``.
    """
    check_request(seeds=seeds, jobs=jobs, timeout_s=timeout_s)
    with _executor(executor, ablation, import_path) as own:
        found = surveyed or survey(own, ablation.data, device, ablation.sources)
        records = read(directory) if directory and (directory / RECORDS).is_file() else []
        replan = functools.partial(
            make_plan,
            ablation,
            found,
            name=name,
            seeds=ablation.seeds if seeds is None else seeds,
            timeout_s=timeout_s,
            kinds=kinds,
            directory=directory,
        )
        made = replan(records=records)
        if directory:
            check_settings(made, records, directory)
            if shared is not None:
                made = would_take_over(made, replan, Shelf(made, directory, shared), records)

        def counted(some: Sequence[Variant]) -> Iterator[tuple[int, Result]]:
            common: dict[str, Any] = {"device": found.device, "sources": tuple(found.sources.items())}
            trials = [Trial(kind="cost", variants=(variant,), **common) for variant in some]
            return run_all(own, [job_of(trial, timeout_s) for trial in trials], own.cores)

        macs = sampled_macs(made.variants, counted)
    estimate = Estimate(found.data["num_train"], _at_once(jobs, found.device, own), macs)
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
    shared: Path | None = None,
    watch: Observer | None = None,
    fresh: bool = False,
    wait: bool = False,
    executor: Executor | None = None,
    surveyed: Survey | None = None,
) -> Outcome:
    """Runs what the folder does not hold yet.

    Args:
        ablation: what to run.
        name: its name in the records.
        directory: the results folder; made if need be.
        seeds: how many; default the ablation's.
        device: ``cpu``, ``cuda`` or ``auto``.
        jobs: accuracy trials side by side; default one a core, on GPUs as many as fit.
        timeout_s: for one trial; in a session, for one variant.
        budget_s: for the run: no trial is begun later, and those that run are let finish.
        kinds: what to measure; by default every registered quantity.
        command: that was typed, for the report.
        summary: the ablation file's docstring, for the report.
        import_path: a folder where an external model's module is found: the ablation file's.
        shared: a folder of results folders: what stands in them and is to be measured here is taken over.
        watch: told what happens.
        fresh: moves an existing folder aside first.
        wait: until nobody else writes the folder; the budget begins then.
        executor: a running one to use, and leave running.
        surveyed: what ``survey`` said, if it was asked already.

    Raises:
        UserError: the folder cannot be written, is being written, or holds records of other settings; no such data or
            device; nothing recorded is lost.
    """
    check_request(seeds=seeds, jobs=jobs, timeout_s=timeout_s, budget_s=budget_s)
    watch = watch or Observer()
    with (
        take(directory, watch.note, fresh=fresh, wait=wait) as writer,
        _executor(executor, ablation, import_path) as own,
    ):
        start = time.monotonic()
        found = surveyed or survey(own, ablation.data, device, ablation.sources)
        replan = functools.partial(
            make_plan,
            ablation,
            found,
            name=name,
            seeds=ablation.seeds if seeds is None else seeds,
            timeout_s=timeout_s,
            kinds=kinds,
            directory=directory,
        )
        placed = OnCards(own, found.cards) if found.cards and not own.gpus else own
        made = replan(records=writer.records)
        check_settings(made, writer.records, directory)
        if shared is not None:
            made = take_over(made, replan, Shelf(made, directory, shared), writer)
        stopped = False
        with Stop.on_interrupt() as stop:
            sweep = Sweep(
                made,
                writer,
                Repeating(placed, watch.note, apart=isinstance(own, LocalExecutor)),
                watch,
                stop,
                side_by_side=lambda: _at_once(jobs, found.device, placed),
                timeout_s=timeout_s,
                ends=math.inf if budget_s is None else start + budget_s,
            )
            sweep.open(command, summary)
            for sentence in made.taken:
                watch.note(sentence)
            sweep.seconds["start-up"] = time.monotonic() - start
            try:
                sweep.run()
            except Interrupted:
                stopped = True
            except OSError as error:
                raise UserError(f"{error.filename or directory}: {error.strerror}; {GOES_ON}") from error
    return Outcome(
        done=sweep.done,
        reused=len(made.reused),
        failed=sweep.failed + len(made.failures),
        skipped=sum(v.model is None for v in made.variants),
        left=sweep.left,
        interrupted=stop.asked,
        seconds={**sweep.seconds, "total": time.monotonic() - start},
        stopped=stopped,
    )


@contextmanager
def _executor(given: Executor | None, ablation: Ablation, import_path: Path | None) -> Iterator[Executor]:
    if given is not None:
        yield given
        return
    with LocalExecutor(threads=ablation.measure.threads, import_path=import_path) as own:
        yield own


def _at_once(jobs: int | None, device: str, executor: Executor) -> int:
    """Trainings side by side; on GPUs no more than there are cores to feed them."""
    most = max(1, MOST * executor.gpus) if device == "cuda" else executor.cores
    return jobs or min(most, executor.cores)
