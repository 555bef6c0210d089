"""Whole runs with real processes and real faults: nothing is lost, nothing is measured twice."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from vitbench.config import TrainConfig
from vitbench.errors import UserError
from vitbench.records import load_arrays, read
from vitbench.run import Observer, execute, plan
from vitbench.run.writer import Writer

QUICK = ("cost", "latency", "train_step", "accuracy")


class Log(Observer):
    def __init__(self):
        self.started_labels, self.finished_labels, self.notes, self.steps = [], [], [], []

    def started(self, trial):
        self.started_labels.append(trial.label)

    def finished(self, trial, records):
        self.finished_labels.append(trial.label)

    def progress(self, progress):
        self.steps.append(progress)

    def note(self, text):
        self.notes.append(text)


def never(text):
    raise AssertionError(text)


def by_kind(records):
    return Counter((r.kind, r.status) for r in records)


@pytest.mark.slow
def test_a_sweep_records_everything_once(folder, sweep_of, shared):
    ablation, log = sweep_of("good", "sociable"), Log()
    results = folder / "results"
    outcome = execute(ablation, name="two", directory=results, executor=shared, watch=log, command="c", summary="s")
    records = read(results, never)
    assert (outcome.done, outcome.failed, outcome.reused, outcome.interrupted) == (12, 0, 0, False)
    assert by_kind(records) == {
        ("plan", "ok"): 1,
        ("cost", "ok"): 2,
        ("memory", "ok"): 2,
        ("ceiling", "ok"): 2,
        ("latency", "ok"): 2,
        ("latency_control", "ok"): 1,
        ("train_step", "ok"): 2,
        ("train_step_control", "ok"): 1,
        ("throughput", "ok"): 2,
        ("accuracy", "ok"): 4,
    }
    assert len({r.id for r in records}) == len(records) - 1  # the machine has one set of ceilings for all
    assert sorted(log.started_labels) == sorted(log.finished_labels)
    assert log.steps[-1].done == log.steps[-1].total == 12
    assert log.steps[-1].remaining_s == 0

    found = {kind: [r for r in records if r.kind == kind] for kind in {r.kind for r in records}}
    assert found["cost"][0].values["params"] == 650
    assert found["cost"][0].values["macs"] == 640
    assert found["memory"][0].values["inference"]["parameters"] == 650 * 4
    for row in found["latency"] + found["latency_control"] + found["train_step"]:
        blocks, calls = np.shape(row.samples["wall"]["values"])
        assert blocks in (2, 3, 5, 8)  # where widths are looked at, from two blocks on
        assert calls == 2
        assert row.samples["wall"]["unit"] == "s"
        assert np.all(np.array(row.samples["wall"]["values"]) > 0)
    assert len({r.session for r in found["latency"] + found["latency_control"]}) == 1
    assert {"order", "pressure", "load"} <= found["latency_control"][0].values.keys()
    assert found["throughput"][0].samples["rate"]["values"]
    energy = found["throughput"][0].values["energy"]
    assert energy.keys() == {"source"} or energy["reason"]
    one, other = found["ceiling"]
    assert one.id == other.id
    assert one.values == other.values
    assert one.values["matmul_flop_per_s"] > 0
    assert np.shape(one.samples["copy"]["values"]) == (2,)
    traffic = found["memory"][0].values["traffic"]
    assert traffic["compulsory"] == 4 * (650 + 8 * (64 + 10))
    assert traffic["unfused"] == traffic["compulsory"]
    for row in found["accuracy"]:
        assert row.values["num_test"] == 360
        assert np.mean(row.samples["correct"]["values"]) == pytest.approx(row.values["accuracy"])
        assert load_arrays(results, row.artifacts[0])["predictions"].shape == (360,)
    assert [r.seed for r in found["accuracy"]][:2] == [0, 0]

    before = (results / "records.jsonl").read_bytes()
    again = execute(ablation, name="two", directory=results, executor=shared, command="c", summary="s")
    assert (again.done, again.reused) == (0, 12)
    assert (results / "records.jsonl").read_bytes() == before

    more = execute(sweep_of("good", "sociable", seeds=3), name="two", directory=results, executor=shared)
    assert (more.done, more.reused) == (2, 12)
    with pytest.raises(UserError, match=r"train\.epochs=1, you asked for 2"):
        execute(
            dataclasses.replace(sweep_of("good", "sociable"), train=TrainConfig(epochs=2)),
            name="two",
            directory=results,
            executor=shared,
        )
    assert (results / "records.jsonl").read_bytes().startswith(before)


def test_faults_do_not_stop_the_others(folder, sweep_of, shared):
    bad = {
        "raises": ("failed", "IndexError"),
        "leaves": ("failed", "exit status 7"),
        "segfaults": ("failed", "SIGSEGV"),
        "exhausts": ("oom", "MemoryError"),
        "diverges": ("diverged", "not finite"),
    }
    ablation, log = sweep_of("good", *bad, "sociable", seeds=1), Log()
    run = {"name": "bad", "directory": folder / "results", "executor": shared, "kinds": QUICK}
    outcome = execute(ablation, watch=log, **run)
    records = read(folder / "results", never)
    for kind in ("latency", "train_step", "accuracy"):
        rows = {r.variant.removeprefix("source=faults:"): r for r in records if r.kind == kind}
        assert len(rows) == 7
        for name, row in rows.items():
            status, reason = bad.get(name, ("ok", ""))
            if name == "diverges" and kind != "accuracy":
                status, reason = "failed", "NaN or infinity"
            if name == "exhausts" and kind != "accuracy":
                status, reason = "oom", "MemoryError"
            assert (row.status, reason in (row.reason or "")) == (status, True), row.reason
    crash = next(r for r in records if r.kind == "accuracy" and r.variant.endswith("leaves"))
    assert crash.values["output"] == "leaving now\n"
    thrown = next(r for r in records if r.kind == "accuracy" and r.variant.endswith("raises"))
    assert "faults.py" in thrown.values["traceback"]
    assert outcome.failed == sum(r.failed for r in records)
    assert any("left out of latency" in note for note in log.notes)

    before = (folder / "results" / "records.jsonl").read_bytes()
    again = execute(ablation, **run)
    assert (again.done, again.failed) == (0, outcome.failed)
    assert (folder / "results" / "records.jsonl").read_bytes() == before


def test_whoever_ends_a_session_is_left_out_of_the_next(folder, sweep_of, shared):
    run = {"name": "m", "directory": folder / "results", "executor": shared, "kinds": ("latency",)}
    outcome = execute(sweep_of("sociable", "moody", "good"), **run)
    rows = {r.variant.removeprefix("source=faults:"): r for r in read(folder / "results", never) if r.kind == "latency"}
    assert {name: row.status for name, row in rows.items()} == {"sociable": "ok", "moody": "failed", "good": "ok"}
    assert "SIGSEGV" in rows["moody"].reason
    assert rows["sociable"].session == rows["good"].session
    assert outcome.failed == 1
    assert execute(sweep_of("sociable", "moody", "good"), **run).done == 0


def test_without_a_baseline_nothing_can_be_compared(folder, sweep_of, shared):
    run = {"name": "b", "directory": folder / "results", "executor": shared, "kinds": ("latency",)}
    execute(sweep_of("segfaults", "good"), **run)
    rows = [r for r in read(folder / "results", never) if r.kind == "latency"]
    assert [r.status for r in rows] == ["failed", "failed"]
    assert "SIGSEGV" in rows[0].reason
    assert "the baseline could not be timed: the process was killed" in rows[1].reason


def test_a_hang_times_out_and_is_tried_again_with_more_time(folder, sweep_of, shared):
    ablation = sweep_of("good", "hangs", seeds=1)
    run = {"name": "h", "directory": folder / "results", "executor": shared, "kinds": ("accuracy",)}
    outcome = execute(ablation, timeout_s=3, **run)
    rows = {r.variant: r for r in read(folder / "results", never) if r.kind == "accuracy"}
    assert [r.status for r in rows.values()].count("timeout") == 1
    assert (outcome.done, outcome.failed) == (1, 1)
    assert plan(ablation, timeout_s=3, **run).counts == {}
    assert plan(ablation, timeout_s=4, **run).counts == {"accuracy": 1}


def test_a_plan_counts_and_estimates_without_writing(folder, sweep_of, shared):
    made = plan(sweep_of("good", "sociable"), name="p", directory=folder / "results", executor=shared)
    assert made.macs == {"source=faults:good": 640, "source=faults:sociable": 640}
    assert made.seconds > 0
    assert not (folder / "results").exists()


def test_a_second_run_is_told_of_the_first(folder, sweep_of, shared):
    with Writer(folder / "results"), pytest.raises(UserError, match=f"process {os.getpid()}"):
        execute(sweep_of("good"), name="x", directory=folder / "results", executor=shared)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"device": "tpu"}, "unknown device 'tpu': auto, cpu, cuda exist"),
        ({"device": "cuda"}, "device 'cuda' is not available"),
        ({"jobs": 0}, "--jobs 0 is too few"),
        ({"timeout_s": 0}, "--timeout 0 leaves no time"),
        ({"seeds": 0}, "--seeds 0 is too few"),
    ],
)
def test_requests_that_cannot_be_met(folder, sweep_of, shared, changes, message):
    with pytest.raises(UserError, match=message):
        execute(sweep_of("good"), name="x", directory=folder / "results", executor=shared, **changes)


def test_unknown_data(folder, sweep_of, shared):
    with pytest.raises(UserError, match="did you mean 'digits'"):
        execute(sweep_of("good", data="digit"), name="x", directory=folder / "results", executor=shared)


def test_fresh_moves_the_old_folder_aside(folder, sweep_of, shared):
    run = {"name": "f", "directory": folder / "results", "executor": shared, "kinds": ("cost",)}
    execute(sweep_of("good"), **run)
    assert execute(sweep_of("good"), fresh=True, **run).done == 1
    (old,) = folder.glob("results.*")
    assert len(read(old, never)) == len(read(folder / "results", never)) == 2


@pytest.mark.slow
def test_whoever_edits_a_model_gets_new_numbers(folder, sweep_of):
    def run():
        return execute(sweep_of("good"), name="f", directory=folder / "results", kinds=("cost",), import_path=folder)

    assert run().done == 1
    assert run().reused == 1
    source = folder / "faults.py"
    source.write_text(
        source.read_text().replace("nn.Linear(64, num_classes)", "nn.Linear(64, num_classes, bias=False)")
    )
    assert run().done == 1
    found = [r for r in read(folder / "results", never) if r.kind == "cost"]
    assert [r.values["params"] for r in found] == [650, 640]


SCRIPT = """
import sys
from pathlib import Path
from vitbench.ablation import Ablation
from vitbench.config import ExternalConfig, MeasureConfig, TrainConfig
from vitbench.run import execute

folder = Path(sys.argv[1])
ablation = Ablation(
    question="What survives?", seeds=int(sys.argv[2]),
    baseline=ExternalConfig("faults:good", img_size=8, in_chans=1, num_classes=10),
    axes={"source": ("faults:good", "faults:sociable")},
    train=TrainConfig(epochs=2), measure=MeasureConfig(blocks=2, cycles=1, warmup_s=0.0),
)
outcome = execute(ablation, name="k", directory=folder / "results", import_path=folder,
                  kinds=("cost", "latency", "train_step", "accuracy"), command="c")
assert "torch" not in sys.modules  # the scheduler's side of the fork never loads it
sys.exit(130 if outcome.interrupted else 0)
"""


def start_run(folder, seeds):
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder), str(seeds)], start_new_session=True)


def lines_of(folder):
    path = folder / "results" / "records.jsonl"
    return path.read_bytes().split(b"\n")[:-1] if path.exists() else []


def processes_of(folder):
    """Every process that belongs to a run in this folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder).encode() in entry.read_bytes():
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_and_repeats_nothing(folder):
    seeds, rng = 5, np.random.default_rng(0)
    expected = 1 + 2 + 3 + 3 + 2 * seeds
    kept = []
    for target in (0, 4, 9, 13):
        with start_run(folder, seeds) as run:
            end = time.monotonic() + 60
            while len(lines_of(folder)) < max(target, len(kept)) and time.monotonic() < end and run.poll() is None:
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.1))
            for pid in processes_of(folder):  # the scheduler and its server, whose jobs the kernel ends
                os.kill(pid, signal.SIGKILL)
        assert lines_of(folder)[: len(kept)] == kept
        kept = lines_of(folder)
    with start_run(folder, seeds) as run:
        assert run.wait(timeout=120) == 0
    lines = lines_of(folder)
    assert lines[: len(kept)] == kept
    records = read(folder / "results", never)
    assert len(records) == expected
    assert len({r.id for r in records}) == expected
    assert all(r.ok for r in records)
    for _ in range(100):
        if not processes_of(folder):
            break
        time.sleep(0.05)
    assert processes_of(folder) == []


@pytest.mark.slow
def test_interrupted_and_resumed_gives_the_same_accuracies(folder):
    other = folder / "whole"
    other.mkdir()
    (other / "faults.py").write_text((folder / "faults.py").read_text())
    with start_run(folder, 3) as run:
        while len(lines_of(folder)) < 11:
            time.sleep(0.01)
        run.send_signal(signal.SIGINT)
        assert run.wait(timeout=20) == 130
    assert 11 <= len(read(folder / "results", never)) < 15
    with start_run(folder, 3) as resumed, start_run(other, 3) as whole:
        assert resumed.wait(timeout=60) == whole.wait(timeout=60) == 0

    def accuracies(place):
        rows = [r for r in read(place / "results", never) if r.kind == "accuracy"]
        return sorted((r.variant, r.seed, r.values["accuracy"], r.values["train_loss"]) for r in rows)

    assert len(accuracies(folder)) == 6
    assert accuracies(folder) == accuracies(other)


def test_ctrl_c_stops_between_records(folder, sweep_of, shared):
    class Impatient(Log):
        def finished(self, trial, records):
            super().finished(trial, records)
            if trial.kind == "cost":
                os.kill(os.getpid(), signal.SIGINT)

    log, before = Impatient(), signal.getsignal(signal.SIGINT)
    outcome = execute(sweep_of("good", seeds=4), name="c", directory=folder / "r", executor=shared, watch=log)
    assert outcome.interrupted
    assert len(log.finished_labels) >= 1
    assert signal.getsignal(signal.SIGINT) is before
    assert outcome.done < 10
    assert len(read(folder / "r", never)) == 1 + outcome.done


def test_a_run_in_a_thread_and_with_a_server_of_its_own(folder, sweep_of):
    outcomes = []

    def target():
        outcomes.append(
            execute(sweep_of("good"), name="t", directory=folder / "r", import_path=folder, kinds=("cost",))
        )

    thread = threading.Thread(target=target)
    thread.start()
    thread.join()
    assert outcomes[0].done == 1


def test_a_record_names_its_environment(folder, sweep_of, shared):
    execute(sweep_of("good"), name="e", directory=folder / "r", executor=shared, kinds=("cost",))
    (line,) = (folder / "r" / "environments.jsonl").read_text().splitlines()
    described = json.loads(line)
    assert {r.environment for r in read(folder / "r", never)} == {described["hash"]}
    body = described["body"]
    assert {"host", "python", "packages", "cpu", "threads", "torch"} <= body.keys()
    assert body["torch"]["version"].startswith(body["packages"]["torch"].partition("+")[0])
    assert {r.code["rooms"]["models"] for r in read(folder / "r", never)} == {1}
