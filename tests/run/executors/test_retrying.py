"""What was lost is run again, twice at most, and nothing else is; servers are killed for real."""

import pytest

from vitbench.run.executors import run_all
from vitbench.run.executors.job import Job
from vitbench.run.executors.local.executor import LocalExecutor
from vitbench.run.executors.retrying import ATTEMPTS, RetryingExecutor

JOBS = """
import os, signal, time

def note(payload):
    with open(payload, "a") as file:
        file.write("x")
    with open(payload) as file:
        return len(file.read())

def good(payload, on):
    note(payload); time.sleep(0.1)
    return "good"

def slow(payload, on):
    note(payload); time.sleep(0.6)
    return "slow"

def raises(payload, on):
    note(payload)
    raise ValueError("no luck")

def ends_its_server(payload, on):
    note(payload); time.sleep(0.3)
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)

def ends_it_once(payload, on):
    if note(payload) == 1:
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)
    return "at last"

"""


@pytest.fixture
def local(tmp_path):
    (tmp_path / "lossy.py").write_text(JOBS)
    with LocalExecutor(import_path=tmp_path, preload=["vitbench.run.executors.job"]) as executor:
        yield executor


@pytest.fixture
def notes():
    return []


@pytest.fixture
def executor(local, notes):
    return RetryingExecutor(local, notes.append, isolate_last=True)


def job(name, place):
    return Job(function=f"lossy:{name}", payload=str(place / f"{name}.runs"))


def runs(name, place):
    return (place / f"{name}.runs").stat().st_size


LOSS = "the worker server was killed by signal 9 (SIGKILL)"


def test_a_job_that_is_lost_once_succeeds_and_lists_the_loss(executor, notes, tmp_path):
    ((_, result),) = run_all(executor, [job("ends_it_once", tmp_path)])
    assert (result.status, result.value, result.losses) == ("ok", "at last", (LOSS,))
    assert runs("ends_it_once", tmp_path) == 2
    assert notes == [f"run again, attempt 2 of {ATTEMPTS}: {LOSS}"]


def test_a_failed_job_is_not_repeated(executor, notes, tmp_path):
    ((_, result),) = run_all(executor, [job("raises", tmp_path)])
    assert (result.status, result.losses) == ("failed", ())
    assert runs("raises", tmp_path) == 1
    assert notes == []


def test_a_third_loss_is_a_failure_and_takes_no_other_job_along(executor, tmp_path):
    names = ["ends_its_server", "slow", "good", "good", "raises", "good"]
    results = dict(run_all(executor, [job(name, tmp_path) for name in names], at_once=2))
    assert runs("ends_its_server", tmp_path) == ATTEMPTS == 3
    lost, slow, *others = (results[index] for index in range(len(names)))
    assert (lost.status, lost.lost, lost.losses) == ("failed", True, (LOSS,) * 3)
    assert lost.reason == f"lost 3 times, the last time because {LOSS}"
    assert (slow.status, slow.value) == ("ok", "slow")
    assert [other.status for other in others] == ["ok", "ok", "failed", "ok"]
    assert len(executor) == 0


def test_cancelled_jobs_are_neither_waited_for_nor_repeated(executor, local, tmp_path):
    for _ in range(3):
        executor.submit(job("slow", tmp_path))
    executor.cancel()
    assert len(executor) == len(local) == 0
    ((_, result),) = run_all(executor, [job("good", tmp_path)])
    assert result.value == "good"
