"""One sweep in which every model fails in its own way, for every executor."""

from vitbench.records.reader import read
from vitbench.run import execute

BAD = {
    "raises": ("failed", "IndexError"),
    "leaves": ("failed", "exited with status 7"),
    "segfaults": ("failed", "SIGSEGV"),
    "exhausts": ("oom", "MemoryError"),
    "diverges": ("diverged", "not finite"),
    "hangs": ("timeout", "no result within 3 s"),
}


def check_every_fault_has_its_status(folder, executor, sweep_of):
    """The good models at both ends are measured; each fault is a record with its status, reason and last words."""
    run = {"name": "bad", "directory": folder, "executor": executor, "kinds": ("accuracy",), "timeout_s": 3}
    outcome = execute(sweep_of("good", *BAD, "sociable", seeds=1), **run)
    rows = {r.variant.rpartition(":")[2]: r for r in read(folder) if r.kind == "accuracy"}
    assert rows.keys() == {"good", *BAD, "sociable"}
    for name, row in rows.items():
        status, reason = BAD.get(name, ("ok", ""))
        assert (row.status, reason in (row.reason or "")) == (status, True), row.reason
    assert rows["leaves"].values["output"] == "leaving now\n"
    assert "faults.py" in rows["raises"].values["traceback"]
    assert outcome.failed == len(BAD)
