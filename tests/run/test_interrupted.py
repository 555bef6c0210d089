"""The command, told to end in every way in which a person or a machine tells it; then it goes on, to the same table."""

import os
import pty
import re
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from vitbench.records.reader import read
from vitbench.run.store.lock import holder_of
from vitbench.run.store.writer import Writer

pytestmark = pytest.mark.slow

TINY = '''"""Does depth help?"""
from vitbench import Ablation, MeasureConfig, TrainConfig, ViTConfig

ABLATION = Ablation(
    question="Does depth help?",
    baseline=ViTConfig(img_size=8, patch_size=2, in_chans=1, num_classes=10, embed_dim=32, depth=1, num_heads=2),
    axes={"depth": (1, 2)},
    train=TrainConfig(epochs=6),
    measure=MeasureConfig(blocks=2, cycles=1, warmup_s=0.1),
    seeds=4,
)
'''
COMMAND = [sys.executable, "-u", "-m", "vitbench.ablate", "./tiny.py", "--results"]
MEASURED = re.compile("_ms|latency|throughput|train_step|energy|resident|seconds|achieved|bound|verdict")
"""Columns that hold, or rest on, what a clock or the system's memory says."""


@pytest.fixture
def place(tmp_path):
    (tmp_path / "tiny.py").write_text(TINY)
    return tmp_path


@pytest.fixture
def begin(place):
    """Starts the command; what a failed test left running is ended."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # of tests in the background it is ignored
    runs = []

    def start(*options, results="results"):
        runs.append(Run(place, results, options))
        return runs[-1]

    yield start
    for run in runs:
        run.process.kill()
        run.process.wait()
    signal.signal(signal.SIGINT, before)


class Run:
    """The command in a process of its own; what it prints goes to a file."""

    def __init__(self, place, results, options):
        self.folder = place / results
        self.log = place / f"{results}.log"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [*COMMAND, results, *options], cwd=place, stdout=out, stderr=out, start_new_session=True
            )

    @property
    def printed(self):
        return self.log.read_text()

    def until(self, condition, seconds=120):
        end = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.printed
            assert time.monotonic() < end, self.printed
            time.sleep(0.02)

    def until_printed(self, words):
        self.until(lambda: words in self.printed)

    def until_recorded(self, kind, number):
        path = self.folder / "records.jsonl"
        self.until(lambda: path.exists() and path.read_text().count(f'"kind":"{kind}"') >= number)

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def ends(self, status, seconds=120):
        assert self.process.wait(timeout=seconds) == status, self.printed
        assert "Traceback" not in self.printed
        assert holder_of(self.folder).alive is False
        with Writer(self.folder, pytest.fail):  # the lock is free, and the end of the file is whole
            return self.printed


def accuracies(folder):
    return len([r for r in read(folder, pytest.fail) if r.kind == "accuracy"])


def unmeasured(folder):
    """The columns of the table that are the same whenever it is made."""
    table = pd.read_csv(folder / "table.csv")
    return table[[column for column in table.columns if not MEASURED.search(column)]]


@pytest.mark.nightly("kills")
def test_interrupted_in_every_way_and_resumed_it_gives_the_same_table(place, begin):
    (place / "apart").mkdir()  # of a folder beside it a run takes what it needs
    whole = begin(results="apart/whole")

    run = begin()  # Ctrl-C twice, while a session is timed
    run.until_recorded("train_step", 2)
    time.sleep(0.5)
    run.interrupt()
    run.until_printed("finishing 1 running trial; press Ctrl-C again to stop now")
    run.interrupt()
    assert "everything so far is kept, the same command goes on" in run.ends(130, 10)
    assert not (run.folder / "report.html").exists()

    run = begin()  # Ctrl-C once, while models are trained
    run.until_recorded("accuracy", 1)
    run.interrupt()
    said = run.ends(130)
    assert re.search(r"finishing [12] running trials?; press Ctrl-C again to stop now", said)
    kept = accuracies(run.folder)
    assert 1 <= kept <= 4
    assert f"{8 - kept} left" in said
    assert "run the same command to resume" in said
    assert (run.folder / "report.html").is_file()
    assert (run.folder / "table.csv").is_file()

    assert "already recorded" in begin().ends(0)
    whole.ends(0)
    one, other = unmeasured(whole.folder), unmeasured(place / "results")
    assert {"accuracy", "accuracy_delta", "macs", "params", "peak_memory_training_mib", "status"} <= set(one.columns)
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    rows = [
        sorted(
            (r.variant, r.seed, r.values["accuracy"], r.values["train_loss"])
            for r in read(folder)
            if r.kind == "accuracy"
        )
        for folder in (whole.folder, place / "results")
    ]
    assert len(rows[0]) == 8
    assert rows[0] == rows[1]


@pytest.mark.nightly("kills")
def test_a_closed_terminal_ends_the_run_and_nohup_lets_it_go_on(place):
    statuses = {}
    for ignored in (False, True):
        results = f"ignored-{ignored}"
        child, terminal = pty.fork()
        if not child:
            os.chdir(place)
            if ignored:
                signal.signal(signal.SIGHUP, signal.SIG_IGN)
            os.execv(sys.executable, [*COMMAND, results, "--budget", "3"])
        path = place / results / "records.jsonl"
        while not path.exists() or path.read_text().count('"kind":"cost"') < 1:
            os.read(terminal, 1000)
        os.close(terminal)
        statuses[ignored] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        with Writer(place / results, pytest.fail) as writer:
            assert len(writer.records) >= 2
    assert statuses == {False: 130, True: 0}
    assert not (place / "ignored-False" / "report.html").exists()
    assert (place / "ignored-True" / "report.html").is_file()


@pytest.mark.slow
def test_it_goes_on_when_its_reader_has_left(place):
    command = " ".join([*COMMAND, "results", "--budget", "1"])
    script = f"({command}; echo status $? >&2) | head -1"
    ran = subprocess.run(["sh", "-c", script], cwd=place, capture_output=True, text=True, check=False)
    assert ran.stdout == "tiny: 2 variants, 4 seeds, 16 trials to run\n"
    assert ran.stderr == "status 0\n"
    assert (place / "results" / "report.html").is_file()


def test_one_that_waits_says_for_whom_and_leaves_at_once_when_told(place, begin):
    with Writer(place / "results", pytest.fail):
        run = begin("--wait", "--budget", "1")
        run.until_printed(f"is being written by process {os.getpid()} on ")
        assert re.search(r" since 20\S+: waiting for it to end", run.printed)
        run.interrupt()
        assert run.process.wait(timeout=10) == 130
        assert "Traceback" not in run.printed
