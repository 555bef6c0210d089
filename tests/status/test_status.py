"""``python -m vitbench.status``: what it says of a sweep is what the planner, the records and the processes say."""

import contextlib
import dataclasses
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.support.instant_executor import (
    COMMAND,
    PATCH,
    SURVEY,
    TUNED,
    InstantExecutor,
    failed,
    interrupt,
    measured,
    sweep,
)
from vitbench.__main__ import COMMANDS
from vitbench.declare.quantities import kinds
from vitbench.declare.train import TrainConfig
from vitbench.records.reader import read
from vitbench.run.planning.plan import make_plan
from vitbench.run.progress import progress_file
from vitbench.run.store.lock import Holder
from vitbench.run.store.writer import Writer
from vitbench.status.__main__ import Options, main, status
from vitbench.utils.errors import UserError


@pytest.fixture(autouse=True)
def _immediate(monkeypatch):
    """The file is written at every event."""
    monkeypatch.setattr(progress_file, "PAUSE_S", 0.0)
    monkeypatch.setattr(progress_file, "PAUSES", 0)


@pytest.fixture
def ask(capsys):
    def ask(folder):
        capsys.readouterr()
        assert main([str(folder), "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert main([str(folder)]) == 0
        return told, capsys.readouterr().out

    return ask


def at_job(number, then):
    """An executor that does something before it gives the result of a job."""
    executor = InstantExecutor()

    def result(job):
        return then() if executor.submitted == number else None

    executor.result = result
    return executor


def numbers(told, name):
    return {kind["kind"]: kind[name] for kind in told["kinds"] if kind[name]}


WIDE = dataclasses.replace(PATCH, axes={"depth": (1, 2, 3, 4, 5)})
"""Of five variants, which several small sessions time."""

FIRST = {"cost": 2, "memory": 2, "ceiling": 1}
"""What has ended when the first session begins: job 8, after two probes."""
LATER = {"train_step": 1, "throughput": 1, "accuracy": 4}


# a sweep and its processes


def test_a_running_sweep_is_seen_from_another_process_and_left_alone(tmp_path):
    seen = []

    def look():
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        command = [sys.executable, "-m", "vitbench.status", str(tmp_path), "--json"]
        seen.append(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before

    sweep(tmp_path, at_job(8, look))
    (told,) = seen
    assert (told["state"], told["ablation"], told["question"]) == ("running", "patch", "Which patch?")
    assert (told["writer"]["pid"], told["writer"]["host"]) == (os.getpid(), socket.gethostname())
    assert told["writer"]["alive"] is True
    assert numbers(told, "done") == FIRST
    assert numbers(told, "running") == {"latency": 1}
    assert numbers(told, "left") == LATER
    assert [told[name] for name in ("planned", "done", "failed", "left", "skipped")] == [12, 5, 0, 6, 1]
    assert [trial["trial"] for trial in told["running"]] == ["latency of 2 variants"]
    assert told["running"][0]["seconds"] > 0
    assert told["remaining_s"] > 0
    assert (told["last_trial"]["trial"], told["last_trial"]["status"]) == ("ceilings of float32", "ok")


def test_trainings_in_parallel_are_all_running(tmp_path, ask):
    executor, seen = InstantExecutor(cores=2), []
    executor.result = lambda job: seen.append(ask(tmp_path)) if job.payload.seed == 1 else None
    sweep(tmp_path, executor)
    told, text = seen[0]
    labels = [f"accuracy patch_size={size} seed 1" for size in (4, 2)]
    assert [trial["trial"] for trial in told["running"]] == labels
    assert all(f"running     {label}, for 0 s\n" in text for label in labels)
    assert numbers(told, "left") == {}


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.support.instant_executor import InstantExecutor, sweep
executor = InstantExecutor()
executor.result = lambda job: os.kill(os.getpid(), signal.SIGKILL) if executor.submitted == 8 else None
sweep(Path(sys.argv[1]), executor)
"""


def test_a_killed_sweep_is_stopped_and_says_how_to_resume(tmp_path, ask):
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)]) as run:
        while os.waitid(os.P_PID, run.pid, os.WEXITED | os.WNOWAIT) is None:
            pass
        zombie, _ = ask(tmp_path)  # killed, while its parent has not asked for its exit status
    told, text = ask(tmp_path)
    assert [t["state"] for t in (zombie, told)] == ["stopped", "stopped"]
    assert (told["stopped_by"], told["writer"]["alive"], told["writer"]["pid"]) == ("kill", False, run.pid)
    assert numbers(told, "done") == FIRST
    assert numbers(told, "left") == {"latency": 1, **LATER}
    assert (told["running"], numbers(told, "running")) == ([], {})
    assert "stopped, 7 trials left" in text
    assert f"resume with: {COMMAND}" in text
    assert "5/12, about " in text
    sweep(tmp_path, InstantExecutor())
    told, text = ask(tmp_path)
    assert (told["state"], told["done"], told["left"], told["remaining_s"]) == ("finished", 12, 0, 0)
    assert (told["stopped_by"], told["writer"]["pid"]) == (None, os.getpid())
    assert "finished, no trials left" in text


def test_a_sweep_that_stops_says_why(tmp_path, ask):
    def error():
        raise UserError("the disk\nis full")

    assert sweep(tmp_path, at_job(8, interrupt)).interrupted
    told, text = ask(tmp_path)
    assert (told["state"], told["stopped_by"]) == ("stopped", "interrupt")
    assert numbers(told, "left") == LATER  # the session that ran was finished
    assert "6 trials left: it was interrupted; resume with" in text
    sweep(tmp_path, InstantExecutor(), budget_s=1e-9)
    told, _ = ask(tmp_path)
    assert (told["stopped_by"], told["left"], told["done"]) == ("budget", 6, 6)
    with pytest.raises(UserError):
        sweep(tmp_path, at_job(1, error))
    told, text = ask(tmp_path)
    assert (told["stopped_by"], told["error"], told["left"]) == ("error", "the disk is full", 6)
    assert "the disk is full" in text


def test_a_sweep_that_was_refused_leaves_the_progress_of_the_one_before(tmp_path, ask):
    sweep(tmp_path, InstantExecutor())
    before = (tmp_path / "progress.json").read_bytes()
    with pytest.raises(UserError):
        sweep(tmp_path, InstantExecutor(), dataclasses.replace(PATCH, train=TrainConfig(epochs=2)))
    assert (tmp_path / "progress.json").read_bytes() == before


def test_a_sweep_that_makes_its_plan_is_starting(tmp_path, ask):
    with Writer(tmp_path):
        told, text = ask(tmp_path)
        assert (told["state"], told["writer"]["pid"]) == ("starting", os.getpid())
        assert f"starting, process {os.getpid()}" in text
    sweep(tmp_path, InstantExecutor())
    time.sleep(0.002)  # times have milliseconds
    with Writer(tmp_path):
        assert ask(tmp_path)[0]["state"] == "starting"
    assert ask(tmp_path)[0]["state"] == "finished"


def test_on_another_node_nobody_knows_whether_it_runs(tmp_path, ask):
    written = tmp_path / "progress.json"

    def elsewhere():
        content = json.loads(written.read_text())
        content["writer"]["host"] = "node7"
        written.write_text(json.dumps(content))
        seen.append(ask(tmp_path))

    seen = []
    sweep(tmp_path, at_job(8, elsewhere))
    ((told, text),) = seen
    assert (told["state"], told["writer"]["alive"]) == ("unknown", None)
    assert numbers(told, "running") == {"latency": 1}
    assert "on node7" in text


def test_a_copy_of_a_running_folder_is_not_running(tmp_path, ask):
    folder, copy, bare = tmp_path / "run", tmp_path / "copy", tmp_path / "bare"

    def copied():
        shutil.copytree(folder, copy)
        shutil.copytree(folder, bare, ignore=shutil.ignore_patterns(".*"))
        seen.extend(ask(place)[0]["state"] for place in (folder, copy, bare))

    seen = []
    sweep(folder, at_job(8, copied))
    assert seen == ["running", "stopped", "stopped"]


@pytest.mark.parametrize(("started", "state"), [(-60.0, "running"), (60.0, "stopped")])
def test_where_open_files_cannot_be_seen_the_start_of_the_process_tells(tmp_path, ask, monkeypatch, started, state):
    """A process that began after the sweep did has only got its number."""
    seen = []
    process = "vitbench.status.state.psutil.Process.create_time"

    def look():
        since = json.loads((tmp_path / "progress.json").read_text())["writer"]["since"]
        hidden = Holder(pid=os.getpid(), host=socket.gethostname(), since=since, alive=None)
        monkeypatch.setattr("vitbench.status.state.holder_of", lambda _: hidden)
        monkeypatch.setattr(process, lambda _: time.time() + started)
        seen.append(ask(tmp_path)[0]["state"])

    sweep(tmp_path, at_job(8, look))
    assert seen == [state]


# counts and failures


def planner(folder, ablation):
    return make_plan(ablation, SURVEY, name="patch", seeds=2, records=read(folder), directory=folder)


@pytest.mark.parametrize(("ablation", "size"), [(PATCH, 32), (TUNED, 32), (WIDE, 3)], ids=["plain", "tuned", "wide"])
@settings(max_examples=8, phases=[Phase.generate])
@given(random=st.randoms(use_true_random=False))
def test_what_is_left_is_what_the_planner_would_still_run(ablation, size, random, tmp_path_factory):
    """However trials end and whenever the sweep is interrupted, and again when it is resumed."""
    folder = tmp_path_factory.mktemp("run")

    def result(job):
        if random.random() < 0.06:
            interrupt()
        return random.choice([measured(job)] * 3 + [failed("bad luck"), failed("no memory", "oom")])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vitbench.run.planning.trials.SESSION_SIZE", size)
        for executor in (InstantExecutor(result, cores=2), InstantExecutor(result), InstantExecutor()):
            outcome = sweep(folder, executor, ablation)
            told = json.loads((folder / "progress.json").read_text())
            plan = planner(folder, ablation)
            left = Counter({kind["kind"]: kind["left"] + kind["running"] for kind in told["kinds"]})
            expected = Counter(plan.counts)
            for counts in (left, expected) if outcome.interrupted else ():
                counts.pop("accuracy, tuned", None)  # what the tuning has not said yet may be recorded already
            assert +left == +expected
            rows = {(r["variant"], r["seed"], r["status"], r["reason"]) for r in told["failures"]}
            assert rows == {(r.variant, r.seed, r.status, r.reason) for r in plan.failures}
            good = {record.id for record in read(folder) if record.ok}
            ended = [part for part in plan.reused.parts if not part.alone]
            expected = Counter(part.label for part in ended for trial in part if trial.only_id in good)
            done = Counter(
                {kind["kind"]: kind["done"] for kind in told["kinds"] if kind["kind"] not in kinds("session")}
            )
            for counts in (done, expected) if outcome.interrupted else ():
                counts.pop("accuracy, tuned", None)
            assert +done == expected
    assert told["state"] == "finished"


def test_failures_are_shown_with_their_reason(tmp_path, ask):
    def result(job):
        if job.payload.variants[0].name == "patch_size=2":
            if job.function.endswith(":probe"):
                return failed("CUDA out of memory", "oom")
            if job.payload.kind == "accuracy":
                return failed("the loss is nan", "diverged")
        return None

    sweep(tmp_path, InstantExecutor(result))
    told, text = ask(tmp_path)
    assert [(f["variant"], f["kind"], f["seed"], f["status"], f["reason"]) for f in told["failures"]] == [
        *(("patch_size=2", k, None, "oom", "CUDA out of memory") for k in ("latency", "train_step", "throughput")),
        *(("patch_size=2", "accuracy", seed, "diverged", "the loss is nan") for seed in (0, 1)),
    ]
    assert (told["state"], told["failed"], told["left"]) == ("finished", 5, 0)
    assert "  patch_size=2 (latency, train step, throughput): oom: CUDA out of memory\n" in text
    assert "  patch_size=2 (accuracy seed 0, accuracy seed 1): diverged: the loss is nan\n" in text
    assert "1 impossible variant skipped" in text
    assert told["last_trial"]["status"] == "diverged"


def test_very_many_failures_are_not_all_shown(tmp_path, ask):
    reasons = iter(range(80))
    executor = InstantExecutor(lambda _: failed(f"{next(reasons)} " + "x" * 900))
    sweep(tmp_path, executor, seeds=40, kinds=("accuracy",))
    told, text = ask(tmp_path)
    assert len(told["failures"]) == 80
    assert text.endswith("  and 68 more; --json shows all\n")
    assert max(map(len, text.splitlines())) < 260


# folders without a progress file, or with a bad one


@pytest.mark.parametrize("damage", ["absent", "empty", "torn", "binary", "list", "foreign", "newer", "folder"])
def test_without_a_readable_progress_file_records_are_counted(tmp_path, ask, damage):
    lost = InstantExecutor(lambda job: failed("bad luck") if job.payload.kind == "memory" else None)
    sweep(tmp_path, lost)
    path = tmp_path / "progress.json"
    whole = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage != "absent":
        content = {"empty": b"", "torn": whole[:-9], "binary": bytes(range(256)), "list": b"[1]"}
        content |= {"foreign": b'{"state": "running"}', "newer": whole.replace(b"progress 1", b"progress 2")}
        path.write_bytes(content[damage])
    told, text = ask(tmp_path)
    two, four = {"ok": 2}, {"ok": 4}
    assert told == {
        "folder": str(tmp_path),
        "state": "not recorded",
        "records": {
            "skip": {"skipped": 1}, "cost": two, "memory": {"failed": 2}, "ceiling": two, "latency": two,
            "train_step": two, "throughput": two, "accuracy": four,
        },
    }  # fmt: skip
    assert "no sweep recorded its progress here" in text
    assert "memory: 2 failed\n" in text
    sweep(tmp_path, InstantExecutor())
    assert path.is_dir() or ask(tmp_path)[0]["state"] == "finished"


# the command


@pytest.mark.parametrize(
    ("made", "argv", "words"),
    [
        ((), ["nowhere"], ["unknown results folder 'nowhere': none exist", "vitbench.ablate NAME"]),
        (("run",), ["ran"], ["unknown results folder 'ran': run exist", "did you mean 'run'?"]),
        (("results/run",), ["run"], ["no folder run", "vitbench.status results/run"]),
        (("run",), ["."], ["records.jsonl"]),
        (("run",), ["run/records.jsonl"], ["unknown results folder 'records.jsonl'"]),
        (("run",), ["run", "--watch", "0.1"], ["--watch 0.1 is too short", "1 or more"]),
        (("run",), ["run", "--watch", "nan"], ["is too short"]),
        (("run",), [], ["DIR", "`python -m vitbench.status --help`"]),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_and_exit_status_2(tmp_path, capsys, made, argv, words):
    for name in made:
        Writer(tmp_path / name).close()
    with contextlib.chdir(tmp_path):
        assert main(argv) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert all(word in err for word in words)


def test_watching_ends_with_the_sweep(tmp_path, capsys):
    waits = []

    def watch():
        assert status(Options(folder=tmp_path, watch=5.0, json=True), sleep=sleep) == 0

    def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            content = json.loads((tmp_path / "progress.json").read_text())
            (tmp_path / "progress.json").write_text(json.dumps({**content, "state": "finished"}))

    sweep(tmp_path, at_job(8, watch))
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert waits == [5.0] * 3
    assert [t["state"] for t in told] == ["running"] * 3 + ["finished"]
    left = [t["remaining_s"] for t in told[:3]]
    assert left == sorted(left, reverse=True)


def test_ctrl_c_ends_the_watching(tmp_path, capsys):
    def sleep(seconds):
        raise KeyboardInterrupt

    with Writer(tmp_path):
        assert status(Options(folder=tmp_path, watch=1.0), sleep=sleep) == 0
    assert capsys.readouterr().err == ""


def test_it_is_a_command_and_loads_nothing_heavy(tmp_path):
    assert COMMANDS["status"][0] == "vitbench.status.__main__"
    sweep(tmp_path, InstantExecutor())
    heavy = ("torch", "numpy", "pandas", "scipy", "sklearn", "seaborn")
    code = "import pathlib, sys; from vitbench.status.__main__ import main; path = sys.argv[1]; main([path]); "
    code += "pathlib.Path(path, 'progress.json').unlink(); main([path]); "
    code += f"print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True).stdout
    assert "finished, no trials left" in out
    assert out.splitlines()[-1] == "[]"
