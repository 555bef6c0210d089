"""Whole runs with real processes and real faults: nothing is lost, nothing is measured twice."""

import dataclasses
import json
import os
import signal
import threading
import time
from collections import Counter

import numpy as np
import pytest

from tests.support.check_faults import check_every_fault_has_its_status
from vitbench.declare.train import TrainConfig
from vitbench.records.reader import load_arrays, read
from vitbench.run import Observer, execute, plan
from vitbench.run.store.writer import Writer
from vitbench.utils.errors import UserError

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


def test_every_fault_has_its_status(folder, sweep_of, shared):
    check_every_fault_has_its_status(folder / "results", shared, sweep_of)


def test_a_variant_that_ends_a_session_is_left_out_of_the_next(folder, sweep_of, shared):
    run = {"name": "m", "directory": folder / "results", "executor": shared, "kinds": ("latency",)}
    outcome = execute(sweep_of("sociable", "moody", "good"), **run)
    rows = {r.variant.removeprefix("source=faults:"): r for r in read(folder / "results", never) if r.kind == "latency"}
    assert {name: row.status for name, row in rows.items()} == {"sociable": "ok", "moody": "failed", "good": "ok"}
    assert "SIGSEGV" in rows["moody"].reason
    assert rows["sociable"].session == rows["good"].session
    assert outcome.failed == 1
    assert execute(sweep_of("sociable", "moody", "good"), **run).done == 0


def test_without_a_baseline_no_variant_is_timed(folder, sweep_of, shared):
    run = {"name": "b", "directory": folder / "results", "executor": shared, "kinds": ("latency",)}
    execute(sweep_of("segfaults", "good"), **run)
    rows = [r for r in read(folder / "results", never) if r.kind == "latency"]
    assert [r.status for r in rows] == ["failed", "failed"]
    assert "SIGSEGV" in rows[0].reason
    assert "the baseline could not be timed: the process was killed" in rows[1].reason


@pytest.mark.slow
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
def test_an_edited_model_is_measured_again(folder, sweep_of):
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


class Told(Log):
    """Sends signals to its own process when so many trials have ended."""

    def __init__(self, after, *numbers):
        super().__init__()
        self.after, self.numbers = after, numbers

    def finished(self, trial, records):
        super().finished(trial, records)
        if len(self.finished_labels) == self.after:
            for number in self.numbers:
                os.kill(os.getpid(), number)


def test_one_ctrl_c_finishes_the_running_trials(folder, sweep_of, shared):
    log, before = Told(3, signal.SIGINT), signal.getsignal(signal.SIGINT)
    run = {"name": "c", "directory": folder / "r", "executor": shared, "kinds": ("cost", "accuracy")}
    outcome = execute(sweep_of("good", seeds=6), watch=log, jobs=2, **run)
    assert (outcome.interrupted, outcome.stopped) == (True, False)
    assert signal.getsignal(signal.SIGINT) is before
    assert sorted(log.finished_labels) == sorted(log.started_labels)
    assert outcome.done == len(log.finished_labels) == 7 - outcome.left
    assert 3 <= outcome.done <= 4
    assert len(read(folder / "r", never)) == 1 + outcome.done
    what = ("finishing 1 running trial", "starting no more trials")  # or both had ended together
    assert log.notes in ([], *([f"{words}; press Ctrl-C again to stop now"] for words in what))
    assert execute(sweep_of("good", seeds=6), **run).done == outcome.left


@pytest.mark.parametrize("numbers", [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM,), (signal.SIGHUP,)])
def test_two_ctrl_c_sigterm_and_sighup_end_the_running_trials(folder, sweep_of, shared, numbers):
    log, before = Told(3, *numbers), [signal.getsignal(number) for number in numbers]
    run = {"name": "c", "directory": folder / "r", "executor": shared, "kinds": ("cost", "accuracy")}
    outcome = execute(sweep_of("good", seeds=6), watch=log, jobs=2, **run)
    together = outcome.done == 4  # the other running trial had ended too, so that none was left to end
    assert (outcome.interrupted, outcome.stopped) == (True, not together)
    assert [signal.getsignal(number) for number in numbers] == before
    assert outcome.done == len(log.finished_labels) == 3 + together
    assert len(shared) == 0
    assert len(read(folder / "r", never)) == 1 + outcome.done
    assert execute(sweep_of("good", seeds=6), **run).done == 7 - outcome.done


def test_a_waiting_run_starts_when_the_lock_is_free(folder, sweep_of, shared):
    log, outcomes = Log(), []
    run = {"name": "w", "directory": folder / "r", "executor": shared, "kinds": ("cost",), "watch": log}

    def target():
        outcomes.append(execute(sweep_of("good"), wait=True, **run))

    thread = threading.Thread(target=target)
    with Writer(folder / "r"):
        with pytest.raises(UserError, match="type --wait to wait for it"):
            execute(sweep_of("good"), **run)
        thread.start()
        while not log.notes:
            time.sleep(0.01)
        time.sleep(0.6)  # it has looked again
        assert not outcomes
    thread.join()
    assert outcomes[0].done == 1
    (note,) = log.notes
    assert f"is being written by process {os.getpid()} on " in note
    assert note.endswith(": waiting for it to end")


@pytest.mark.slow
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
    assert {r.code["components"]["models"] for r in read(folder / "r", never)} == {1}
