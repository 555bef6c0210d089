"""The executor: whatever a job does to its process, the others finish and a Result says what happened."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vitbench.run.executors import run_all
from vitbench.run.executors.job import Job
from vitbench.run.executors.local.executor import RESTARTS, LocalExecutor
from vitbench.utils.errors import UserError

JOBS = """
import ctypes, os, signal, subprocess, sys, time

def good(payload, on):
    return payload

def who(payload, on):
    return os.getpid(), sorted(os.listdir("/proc/self/fd")), {k: os.environ.get(k) for k in payload}

def state(payload, on):
    global counter
    counter = globals().get("counter", 0) + 1
    return counter

def raises(payload, on):
    print("last words")
    raise ValueError("no\\nsuch luck")

def odd_pickle(payload, on):
    class Local: pass
    return Local()

def system_exit(payload, on):
    sys.exit(4)

def leaves(payload, on):
    os._exit(3)

def segfaults(payload, on):
    on("first"); on("second")
    ctypes.string_at(0)

def killed(payload, on):
    os.kill(os.getpid(), payload)

def notes(payload, on):
    open(payload, "w").close()
    while not os.path.exists(os.path.join(os.path.dirname(payload), "go")):
        time.sleep(0.02)
    return "noted"

def memory(payload, on):
    return bytearray(1 << 60)

def cuda_memory(payload, on):
    raise RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")

def hangs(payload, on):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)

def hangs_with_a_child(payload, on):
    child = subprocess.Popen(["sleep", "600"])
    with open(payload, "w") as file:
        file.write(str(child.pid))
    time.sleep(600)

def many_turns(payload, on):
    for number in range(6):
        on(str(number)); time.sleep(0.5)
    return "done"

def shouts(payload, on):
    for stream in (sys.stdout.buffer, sys.stderr.buffer):
        stream.write(bytes(range(256)) * 1000)
    os.write(1, b"x" * 100_000)
    sys.stdout.close()
    return "heard"

def numbers(payload, on):
    import numpy as np
    return np.arange(300_000.0)
"""


def alive(pid):
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="module")
def jobs_folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("jobs")
    (path / "jobs.py").write_text(JOBS)
    return path


@pytest.fixture(scope="module")
def executor(jobs_folder):
    with LocalExecutor(import_path=jobs_folder, preload=["vitbench.run.executors.job"]) as executor:
        yield executor


def job(name, payload=None, **changes):
    return Job(function=f"jobs:{name}", payload=payload, **changes)


def outcome(executor, *args, **kwargs):
    ((_, result),) = run_all(executor, [job(*args, **kwargs)])
    return result


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("raises", "failed", r"ValueError: no such luck"),
        ("odd_pickle", "failed", r"exited with status 70"),
        ("system_exit", "failed", r"SystemExit: 4"),
        ("leaves", "failed", r"exited with status 3 before"),
        ("segfaults", "failed", r"killed by signal 11 \(SIGSEGV\)"),
        ("memory", "oom", r"MemoryError"),
        ("cuda_memory", "oom", r"CUDA out of memory"),
        ("unheard_of", "failed", r"AttributeError: module 'jobs' has no attribute 'unheard_of'"),
    ],
)
def test_every_end_has_a_status_and_a_reason(executor, name, status, reason):
    result = outcome(executor, name)
    assert result.status == status
    assert re.search(reason, result.reason)
    assert result.value is None


def test_a_kill_from_outside_is_not_reported_as_out_of_memory(executor):
    result = outcome(executor, "killed", int(signal.SIGKILL))
    counted = "oom_kill " in Path("/proc/vmstat").read_text()
    assert result.status == ("failed" if counted else "oom")
    assert "signal 9 (SIGKILL)" in result.reason


def test_output_traceback_and_subject_are_kept(executor):
    result = outcome(executor, "raises")
    assert result.output == "last words\n"
    assert 'raise ValueError("no\\nsuch luck")' in result.traceback
    crash = outcome(executor, "segfaults")
    assert crash.on == "second"
    assert "Segmentation fault" in crash.output
    assert "jobs.py" in crash.output


def test_good_jobs_among_bad_ones(executor):
    names = ["good", "segfaults", "good", "leaves", "raises", "good", "memory", "system_exit", "good"]
    results = dict(run_all(executor, [job(name, index) for index, name in enumerate(names)], at_once=3))
    assert sorted(results) == list(range(len(names)))
    for index, name in enumerate(names):
        assert (results[index].status == "ok") == (name == "good")
        if name == "good":
            assert results[index].value == index


def test_a_hanging_job_is_ended_with_its_children(executor, tmp_path):
    result = outcome(executor, "hangs", timeout_s=0.3)
    assert (result.status, result.reason) == ("timeout", "no result within 0.3 s: stopped")
    assert result.seconds < 10
    note = tmp_path / "pid"
    assert outcome(executor, "hangs_with_a_child", str(note), timeout_s=3.0).status == "timeout"
    until(lambda: not alive(int(note.read_text())))


def test_a_new_subject_restarts_the_timeout(executor):
    result = outcome(executor, "many_turns", timeout_s=2.0)
    assert (result.status, result.value, result.on) == ("ok", "done", "5")


def test_garbage_on_standard_output_is_harmless(executor):
    assert outcome(executor, "shouts").value == "heard"


def test_large_results_arrive_whole(executor):
    assert outcome(executor, "numbers").value.sum() == 300_000 * 299_999 / 2


def test_nothing_is_shared_between_jobs(executor):
    results = [outcome(executor, "who", ["OMP_NUM_THREADS"]).value for _ in range(2)]
    assert results[0][0] != results[1][0]
    assert [outcome(executor, "state").value for _ in range(2)] == [1, 1]


def test_a_job_inherits_only_its_own_descriptors(executor):
    _, descriptors, _ = outcome(executor, "who", []).value
    assert len(descriptors) <= 8  # three standard ones, pipe, output, board, its listing, the preloaded log


def test_threads_are_set_before_anything_is_imported(jobs_folder):
    with LocalExecutor(threads=3, import_path=jobs_folder, preload=["vitbench.run.executors.job"]) as executor:
        names = ["OMP_NUM_THREADS", "MKL_NUM_THREADS"]
        assert set(outcome(executor, "who", names).value[2].values()) == {"3"}
        spawned = outcome(
            executor, "who", [*names, "MALLOC_TRIM_THRESHOLD_"], spawn=True, env={"MALLOC_TRIM_THRESHOLD_": "0"}
        )
        assert list(spawned.value[2].values()) == ["3", "3", "0"]


@pytest.mark.parametrize("name", ["segfaults", "raises", "good"])
def test_a_spawned_job_ends_like_a_forked_one(executor, name):
    forked, spawned = outcome(executor, name, 5), outcome(executor, name, 5, spawn=True)
    assert (forked.status, forked.reason, forked.value) == (spawned.status, spawned.reason, spawned.value)


def test_cancelled_jobs_are_gone(executor):
    for _ in range(3):
        executor.submit(job("hangs"))
    executor.cancel()
    assert len(executor) == 0
    assert outcome(executor, "good", 1).value == 1


def test_a_wait_ends_when_asked(executor):
    executor.submit(job("hangs"))
    reader, writer = os.pipe()
    os.write(writer, b"!")
    assert executor.wait(also=[reader]) == []
    assert executor.wait(timeout=0.01) == []
    executor.cancel()
    os.close(reader)
    os.close(writer)


def test_a_server_that_cannot_start_says_why():
    with (
        LocalExecutor(preload=["vitbench.no_such_module"]) as executor,
        pytest.raises(UserError, match=r"No module named 'vitbench\.no_such_module'"),
    ):
        executor.submit(job("good"))


def kill_server(executor):
    """Kills the fork server, when the jobs that were submitted have their processes; returns these."""
    server = executor._server.pid
    children = Path(f"/proc/{server}/task/{server}/children")
    until(lambda: len(children.read_text().split()) == len(executor))
    pids = [int(pid) for pid in children.read_text().split()]
    os.kill(server, signal.SIGKILL)
    until(lambda: not alive(server))
    return pids


@pytest.fixture
def mortal(jobs_folder):
    """An executor whose server may be killed."""
    with LocalExecutor(import_path=jobs_folder, preload=["vitbench.run.executors.job"]) as executor:
        yield executor


def test_jobs_of_a_killed_server_are_lost_and_another_server_serves(mortal):
    assert outcome(mortal, "good", 1).value == 1
    keys = {mortal.submit(job("hangs")) for _ in range(2)}
    pids = kill_server(mortal)
    ended = dict(mortal.wait())
    assert ended.keys() == keys
    for result in ended.values():
        assert (result.status, result.lost) == ("failed", True)
        assert result.reason == "the worker server was killed by signal 9 (SIGKILL)"
    until(lambda: not any(map(alive, pids)))
    assert outcome(mortal, "good", 2).value == 2


def test_a_server_killed_between_two_jobs_is_replaced(mortal):
    assert outcome(mortal, "good", 1).value == 1
    kill_server(mortal)
    assert outcome(mortal, "good", 2).value == 2


def test_a_result_that_was_sent_before_the_server_died_counts(mortal, tmp_path):
    mortal.submit(job("notes", str(tmp_path / "note")))
    until((tmp_path / "note").exists)
    os.kill(mortal._server.pid, signal.SIGSTOP)  # it cannot tell of the end any more
    (tmp_path / "go").touch()
    (run,) = mortal._running.values()
    until(run.connection.poll)
    os.kill(mortal._server.pid, signal.SIGKILL)
    ((_, result),) = mortal.wait() or mortal.wait()
    assert (result.status, result.value, result.lost) == ("ok", "noted", False)


def test_a_server_that_dies_again_and_again_is_given_up(mortal):
    for _ in range(RESTARTS):
        mortal.submit(job("hangs"))
        kill_server(mortal)
        assert [result.lost for _, result in mortal.wait()] == [True]
    mortal.submit(job("hangs"))
    kill_server(mortal)
    with pytest.raises(UserError, match=rf"SIGKILL\), {RESTARTS + 1} times in a row; .* run the same command"):
        mortal.wait()


def test_a_normal_end_resets_the_count_of_restarts(mortal):
    for _ in range(RESTARTS + 2):
        mortal.submit(job("hangs"))
        kill_server(mortal)
        assert [result.lost for _, result in mortal.wait()] == [True]
        assert outcome(mortal, "raises").reason == "ValueError: no such luck"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_worker_is_lost(executor, number):
    result = outcome(executor, "killed", int(number))
    assert f"killed by signal {int(number)} ({number.name})" in result.reason
    counted = "oom_kill " in Path("/proc/vmstat").read_text()
    assert result.lost == (counted or number == signal.SIGTERM)


def test_a_refused_process_is_a_lost_job(mortal):
    assert outcome(mortal, "good", 1).value == 1
    group = Path(f"/sys/fs/cgroup/pids/vitbench-test-{os.getpid()}")
    try:
        group.mkdir()
        (group / "cgroup.procs").write_text(str(mortal._server.pid))
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        (group / "pids.max").write_text("1")
        result = outcome(mortal, "good", 2)
        assert (result.status, result.lost) == ("failed", True)
        assert result.reason == "no process could be started: Resource temporarily unavailable"
        (group / "pids.max").write_text("max")
        assert outcome(mortal, "good", 3).value == 3
    finally:
        mortal.close()
        group.rmdir()


def test_nothing_survives_a_killed_scheduler(jobs_folder):
    code = f"""
import json, os, sys, time
from pathlib import Path
from vitbench.run.executors.job import Job
from vitbench.run.executors.local.executor import LocalExecutor
executor = LocalExecutor(import_path=Path({str(jobs_folder)!r}), preload=["vitbench.run.executors.job"])
for _ in range(2):
    executor.submit(Job(function="jobs:hangs"))
server = executor._server.pid
children = Path(f"/proc/{{server}}/task/{{server}}/children")
while len(children.read_text().split()) < 2:
    time.sleep(0.02)
print(json.dumps([server, *map(int, children.read_text().split())]), flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as scheduler:
        pids = json.loads(scheduler.stdout.readline())
        assert len(pids) == 3
        assert all(map(alive, pids))
        scheduler.send_signal(signal.SIGKILL)
    until(lambda: not any(map(alive, pids)))


def test_a_trial_of_zero_work_costs_little_of_what_a_server_does(jobs_folder):
    """9 ms against 300 on a quiet machine, the server without torch; the medians are of times side by side."""

    def seconds(executor, jobs):
        start = time.perf_counter()
        assert len(list(run_all(executor, [job("good")] * jobs))) == jobs
        return (time.perf_counter() - start) / jobs

    ratios = []
    for _ in range(3):
        with LocalExecutor(import_path=jobs_folder, preload=["vitbench.run.executors.job"]) as executor:
            started = seconds(executor, 1)
            ratios.append(seconds(executor, 30) / started)
    assert min(ratios) < 0.25
