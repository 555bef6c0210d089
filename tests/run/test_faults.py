"""All faults in one sweep, real ones, with good trials between: everyone gets its record, and the sweep goes on."""

import contextlib
import io
import os
import re
import textwrap
import warnings
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from vitbench.ablate import show_results
from vitbench.records.reader import read
from vitbench.run import execute
from vitbench.run.executors.local.executor import LocalExecutor

MODELS = '''
import ctypes, os, signal, sys, time
from pathlib import Path

import torch
from torch import nn

HERE = Path(__file__).parent


class Model(nn.Module):
    """A linear classifier that does something first, on every real batch or only when it is trained."""

    def __init__(self, num_classes, fault=None, when_trained=False):
        super().__init__()
        self.linear = nn.Linear(64, num_classes)
        self.fault, self.when_trained = fault, when_trained

    def forward(self, x):
        real = x.device.type != "meta" and (len(x) > 8 or not self.when_trained)
        return self.linear(x.flatten(1)) if self.fault is None or not real else self.fault(self, x)


def good(num_classes):
    return Model(num_classes)


def good_too(num_classes):
    return Model(num_classes)


def raises(num_classes):
    def fault(model, x):
        print("about to raise")
        return [][1]
    return Model(num_classes, fault)


def leaves(num_classes):
    def fault(model, x):
        print("leaving now")
        os._exit(7)
    return Model(num_classes, fault)


def segfaults(num_classes):
    return Model(num_classes, lambda model, x: ctypes.string_at(0))


def asks_for_much(num_classes):
    return Model(num_classes, lambda model, x: torch.empty(1 << 60, dtype=torch.uint8))


def cuda_memory(num_classes):
    def fault(model, x):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
    return Model(num_classes, fault)


def eats(num_classes):
    def fault(model, x):
        (HERE / "group").joinpath("cgroup.procs").write_text(str(os.getpid()))
        print("eating")
        return [bytearray(os.urandom(1 << 20)) for _ in range(1000)]
    return Model(num_classes, fault)


def hangs(num_classes):
    def fault(model, x):
        print("waiting for ever", flush=True)
        time.sleep(600)
    return Model(num_classes, fault, when_trained=True)


def diverges(num_classes):
    return Model(num_classes, lambda model, x: model.linear(x.flatten(1)) / 0)


def garbage(model, x):
    for stream in (sys.stdout.buffer, sys.stderr.buffer):
        stream.write(bytes(range(256)) * 40 + b"\\x1b[2J\\r\\n")
        stream.flush()
    return model.linear(x.flatten(1))


def garbles(num_classes):
    return Model(num_classes, garbage)


def garbles_and_leaves(num_classes):
    def fault(model, x):
        garbage(model, x)
        os._exit(9)
    return Model(num_classes, fault)


def closes_its_output(num_classes):
    def fault(model, x):
        if not sys.stdout.closed:
            print("last words")
            sys.stdout.close()
            os.close(1)
        return model.linear(x.flatten(1))
    return Model(num_classes, fault, when_trained=True)


def kill_the_server():
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)


def loses_its_worker(num_classes):
    return Model(num_classes, lambda model, x: kill_the_server(), when_trained=True)


def loses_it_once(num_classes):
    def fault(model, x):
        flag = HERE / "lost"
        if not flag.exists():
            flag.touch()
            kill_the_server()
        return model.linear(x.flatten(1))
    return Model(num_classes, fault, when_trained=True)
'''

GOOD = ("good", "good_too", "garbles", "closes_its_output", "loses_it_once")
LOST = r"the worker server was killed by signal 9 \(SIGKILL\)"

BAD = {
    "raises": ("failed", r"IndexError: list index out of range"),
    "leaves": ("failed", r"the process exited with status 7 before it had a result"),
    "segfaults": ("failed", r"the process was killed by signal 11 \(SIGSEGV\)"),
    "asks_for_much": (
        "oom",
        r"RuntimeError: .*can't allocate memory: you tried to allocate 1152921504606846976 bytes",
    ),
    "cuda_memory": ("oom", r"OutOfMemoryError: CUDA out of memory\. Tried to allocate 20\.00 GiB"),
    "hangs": ("timeout", r"no result within 10 s: stopped"),
    "diverges": ("diverged", r"the loss is not finite in epoch 1, step 1: try a lower lr"),
    "garbles_and_leaves": ("failed", r"the process exited with status 9"),
    "loses_its_worker": ("failed", rf"lost 3 times, the last time because {LOST}"),
}
KERNEL = {"eats": ("oom", r"the process was killed by signal 9 \(SIGKILL\): memory ran out")}

ONLY_TRAINED = ("loses_its_worker", "hangs")
"""What can be timed all the same."""

LAST_WORDS = {
    "raises": "about to raise",
    "leaves": "leaving now",
    "segfaults": "Segmentation fault",
    "eats": "eating",
    "hangs": "waiting for ever",
    "garbles_and_leaves": "\x1b[2J\r\n",
}

TRACEBACKS = ("raises", "asks_for_much", "cuda_memory", "diverges")


@contextlib.contextmanager
def memory_limit(size):
    """A control group whose processes may take so many bytes together; None where none can be made."""
    name = f"vitbench-test-{os.getpid()}"
    for place, limit in (("memory", "memory.limit_in_bytes"), (".", "memory.max")):
        group = Path("/sys/fs/cgroup") / place / name
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            if (group / limit).exists():
                (group / limit).write_text(str(size))
                yield group
                return
        finally:
            group.rmdir()
    yield None


@dataclass
class Swept:
    """What one sweep with all faults left."""

    folder: Path
    outcome: Any
    exit_status: int
    printed: str
    counted: bool
    records: list

    def of(self, name, kind="accuracy"):
        (found,) = (r for r in self.records if r.kind == kind and r.variant.endswith(f":{name}"))
        return found


@pytest.fixture(scope="module")
def swept(tmp_path_factory, sweep_of):
    place = tmp_path_factory.mktemp("faults")
    (place / "m.py").write_text(textwrap.dedent(MODELS))
    with memory_limit(64 << 20) as group:
        if group is not None:
            (place / "group").symlink_to(group)
        bad = [*BAD, *(KERNEL if group is not None else {})]
        names = [good for pair in zip(GOOD, bad, strict=False) for good in pair]
        names += [name for name in (*GOOD, *bad) if name not in names]
        ablation = sweep_of(*names, module="m", seeds=1)
        with LocalExecutor(import_path=place) as executor:
            run = {"name": "faults", "directory": place / "results", "executor": executor, "timeout_s": 10.0}
            run["kinds"] = ("cost", "latency", "accuracy")
            outcome = execute(ablation, **run)
            before = (place / "results" / "records.jsonl").read_bytes()
            again = execute(ablation, **run)
    assert (again.done, again.failed) == (0, outcome.failed)
    assert (place / "results" / "records.jsonl").read_bytes() == before
    with contextlib.redirect_stdout(io.StringIO()) as printed, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "constrained_layout not applied")  # fifteen families in one legend
        status = show_results(place / "results", outcome)
    records = read(place / "results", pytest.fail)
    return Swept(place / "results", outcome, status, printed.getvalue(), group is not None, records)


pytestmark = pytest.mark.nightly("kills")


def needs_a_limit(swept, name):
    if name in KERNEL and not swept.counted:
        pytest.skip("no memory control group can be made here")


@pytest.mark.parametrize("name", GOOD)
def test_good_trials_are_all_there(swept, name):
    for kind in ("cost", "latency", "accuracy"):
        assert swept.of(name, kind).status == "ok"
    assert swept.of(name).values["accuracy"] > 0.1


@pytest.mark.parametrize(("name", "status", "reason"), [(k, *v) for k, v in {**BAD, **KERNEL}.items()])
def test_bad_ones_say_what_happened(swept, name, status, reason):
    needs_a_limit(swept, name)
    record = swept.of(name)
    assert record.status == status
    assert re.fullmatch(f"{reason}.*", record.reason)
    timed = swept.of(name, "latency")
    assert (timed.status == "ok") == (name in ONLY_TRAINED)
    if name == "diverges":
        assert "NaN or infinity" in timed.reason  # there is no loss in a forward call
    elif name not in ONLY_TRAINED:
        assert (timed.status, re.search(reason, timed.reason) is not None) == (status, True)


@pytest.mark.parametrize("name", LAST_WORDS)
def test_last_words_are_kept(swept, name):
    needs_a_limit(swept, name)
    assert LAST_WORDS[name] in swept.of(name).values["output"]


@pytest.mark.parametrize("name", TRACEBACKS)
def test_tracebacks_are_kept(swept, name):
    traceback = swept.of(name).values["traceback"]
    assert traceback.startswith("Traceback (most recent call last)")
    assert ("m.py" in traceback) == (name != "diverges")


def test_only_what_was_lost_was_repeated_and_says_so(swept):
    attempts = {r.variant.rpartition(":")[2]: r.values.get("attempts") for r in swept.records if r.kind == "accuracy"}
    assert attempts.pop("loses_its_worker") == 3
    assert attempts.pop("loses_it_once") >= 2  # its server may have died of the other one, too
    bad = {name for name in attempts if name in BAD}
    assert {attempts[name] for name in bad - {"diverges"}} <= {None, 2, 3}
    assert all(re.fullmatch(LOST, loss) for r in swept.records for loss in r.values.get("lost", []))
    assert len(swept.of("loses_its_worker").values["lost"]) == 3


def test_table_report_and_terminal_show_them_and_the_exit_status_is_1(swept):
    assert swept.exit_status == 1
    assert swept.outcome.failed == sum(r.failed for r in swept.records)
    table = pd.read_csv(swept.folder / "table.csv").set_index("variant")
    page, text = ((swept.folder / f"report.{kind}").read_text() for kind in ("html", "md"))
    by_variant = defaultdict(list)
    for record in swept.records:
        by_variant[record.variant].append(record)
    for variant, records in by_variant.items():
        failed = [r for r in records if r.failed]
        if variant and not failed:
            assert table["status"][variant] == "ok"
        for record in failed:
            assert table["status"][variant] in {r.status for r in failed}
            assert record.reason in table["reason"][variant]
            assert variant in page
            assert variant in text
            assert variant.rpartition(":")[2] in swept.printed
    assert f"{swept.outcome.failed} FAILED" in swept.printed
    for words in ("killed by signal 11 (SIGSEGV)", "lost 3 times", "no result within 10 s"):
        assert words in page
    for words in ("Segmentation fault", "leaving now", "Traceback (most recent call last)", "waiting for ever"):
        assert words in page  # last lines and tracebacks
        assert words in text
    assert "\x1b" not in page + text
