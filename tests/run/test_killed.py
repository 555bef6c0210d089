"""kill -9 at any moment: what was recorded is whole, recorded once, and never measured again."""

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.support.processes import kill, tree
from vitbench.records.reader import file_digest, read, scan

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
TRIALS, JOBS = 60, 2


def start(folder, seconds):
    code = f"import sys; sys.path.insert(0, {str(HERE)!r}); import light; left = light.run({str(folder)!r}).left; "
    code += "assert 'torch' not in sys.modules; sys.exit(left)"  # the scheduler's side of the fork never loads it
    environment = {**os.environ, "LIGHT_LOG": str(folder / "begun"), "LIGHT_SECONDS": str(seconds)}
    return subprocess.Popen([sys.executable, "-c", code], start_new_session=True, env=environment)


def begun(folder):
    """How often each trial was begun, by its own account."""
    path = folder / "begun"
    return Counter(path.read_text().splitlines()) if path.exists() else Counter()


def whole(folder):
    """The bytes of the records that count: a torn end, and a session that did not arrive whole, are set aside."""
    path = folder / "results" / "records.jsonl"
    return path.read_bytes()[: scan(path).whole] if path.exists() else b""


def recorded(folder):
    """The trials that are recorded, each once."""
    if not (folder / "results" / "records.jsonl").exists():
        return set()
    rows = [r for r in read(folder / "results", notice=str) if r.kind != "plan"]
    assert all(r.ok for r in rows)
    assert len({r.id for r in rows}) == len(rows), "an id is recorded twice"
    return {f"{r.kind}:{r.session or r.id}" for r in rows if not r.kind.endswith("_control")}


def wait(run, folder, draw, size):
    """Until some moment: of the first second and a half, or about when the next record is written."""
    until = time.monotonic() + draw.uniform(0.0, 1.5)
    if draw.random() < 0.5:
        path = folder / "results" / "records.jsonl"
        while (
            not (path.exists() and path.stat().st_size > size) and run.poll() is None and time.monotonic() < until + 5
        ):
            time.sleep(0.001)
        until = time.monotonic() + draw.uniform(0.0, 0.05)
    while time.monotonic() < until and run.poll() is None:
        time.sleep(0.001)


@pytest.mark.parametrize("kills", [8, pytest.param(50, marks=pytest.mark.nightly("kills"))])
def test_killed_at_random_moments_nothing_is_lost_or_measured_twice(tmp_path, kills):
    seed = int.from_bytes(os.urandom(4), "big")
    draw = np.random.default_rng(seed)
    before, kept = set(), b""
    for number in range(kills):
        said = f"seed {seed}, kill {number}"
        begun_before = begun(tmp_path)
        run = start(tmp_path, 0.8)
        wait(run, tmp_path, draw, len(kept))
        pids = tree(run.pid)
        draw.shuffle(pids)
        kill(pids)
        run.wait()
        after, new = recorded(tmp_path), begun(tmp_path) - begun_before
        assert before <= after, said
        assert whole(tmp_path).startswith(kept), said
        assert not before & new.keys(), f"{said}: a recorded trial was run again"
        assert max(new.values(), default=1) == 1, said
        assert len(new.keys() - after) <= JOBS, f"{said}: more was lost than ran"
        before, kept = after, whole(tmp_path)
    assert len(before) < TRIALS, "it was over before the last kill"
    left = TRIALS - len(before)
    begun_before = begun(tmp_path)
    with start(tmp_path, 0.0) as run:
        assert run.wait(timeout=60) == 0, f"seed {seed}"
    assert len(recorded(tmp_path)) == TRIALS
    assert whole(tmp_path).startswith(kept)
    assert len(begun(tmp_path) - begun_before) == left
    assert begun(tmp_path).total() <= TRIALS + kills * JOBS
    rows = read(tmp_path / "results", notice=pytest.fail)
    assert all(
        file_digest(tmp_path / "results" / "artifacts" / file) == r.digests[file] for r in rows for file in r.digests
    )
