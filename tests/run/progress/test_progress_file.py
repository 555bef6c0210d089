"""``progress.json`` is written seldom enough to cost nothing, is never out of date, and never in the way."""

import json
import threading
import time

from tests.support.instant_executor import InstantExecutor, sweep
from vitbench.run.progress import progress_file
from vitbench.run.progress.progress_file import ProgressFile, read_progress


def counted_writes(monkeypatch):
    states = []
    write = ProgressFile._write

    def counting(self, state="running", **ended):
        states.append(state)
        write(self, state, **ended)

    monkeypatch.setattr(ProgressFile, "_write", counting)
    return states


def test_many_short_trials_are_written_together(tmp_path, monkeypatch):
    states = counted_writes(monkeypatch)
    monkeypatch.setattr(progress_file, "PAUSE_S", 3600.0)
    sweep(tmp_path, InstantExecutor(), kinds=("accuracy",), seeds=20)
    assert states == ["running", "finished"]
    assert read_progress(tmp_path)["kinds"] == [
        {"kind": "accuracy", "planned": 40, "done": 40, "running": 0, "left": 0, "failed": 0}
    ]


def test_what_came_within_a_pause_is_written_after_it(tmp_path):
    """The second training begins right after the first write, and runs until the file shows it."""
    seen = []

    def result(job):
        end = time.monotonic() + 60
        while [trial["trial"] for trial in read_progress(tmp_path)["running"]] != [job.payload.label]:
            assert time.monotonic() < end
            time.sleep(0.01)
        seen.append(job.payload.label)

    sweep(tmp_path, InstantExecutor(result), kinds=("accuracy",), seeds=1)
    assert seen == ["accuracy patch_size=4 seed 0", "accuracy patch_size=2 seed 0"]


def test_a_timing_session_is_written_before_it_begins_and_nothing_while_it_runs(tmp_path, monkeypatch):
    states = counted_writes(monkeypatch)
    monkeypatch.setattr(progress_file, "PAUSE_S", 0.05)
    seen = []

    def result(job):
        if job.alone:
            before = len(states)
            assert [trial["trial"] for trial in read_progress(tmp_path)["running"]] == [job.payload.label]
            time.sleep(0.2)
            assert len(states) == before
            seen.append(job.payload.kind)

    sweep(tmp_path, InstantExecutor(result), seeds=1)
    assert seen == ["ceiling", "latency", "train_step", "throughput"]


def test_a_timer_that_was_cancelled_too_late_writes_nothing(tmp_path, monkeypatch):
    states = counted_writes(monkeypatch)
    late = ProgressFile(tmp_path, "")
    timer = late._timer = threading.Timer(0.0, late._write_late)
    timer.start()
    timer.join()
    assert states == ["running"]
    late._write_late()
    assert states == ["running"]


def test_a_file_that_cannot_be_written_stops_no_sweep(tmp_path):
    (tmp_path / "progress.part").mkdir()
    assert sweep(tmp_path, InstantExecutor()).left == 0
    assert not (tmp_path / "progress.json").exists()


def test_whoever_reads_the_file_meets_a_whole_one(tmp_path, monkeypatch):
    monkeypatch.setattr(progress_file, "PAUSE_S", 0.0)
    monkeypatch.setattr(progress_file, "PAUSES", 0)
    torn, states, over = [], set(), threading.Event()

    def reader():
        while not over.is_set():
            try:
                states.add(json.loads((tmp_path / "progress.json").read_bytes())["state"])
            except FileNotFoundError:
                continue  # not yet
            except ValueError as error:
                torn.append(error)

    thread = threading.Thread(target=reader)
    thread.start()
    sweep(tmp_path, InstantExecutor(), kinds=("accuracy",), seeds=10)
    over.set()
    thread.join()
    assert torn == []
    assert "running" in states
