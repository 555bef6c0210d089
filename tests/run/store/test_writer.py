"""The writer: one at a time, on the disk when it returns, whole after any crash. Faults are real ones."""

import os
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest

from vitbench.records.reader import load_arrays, read, read_environments
from vitbench.records.record import Environment, Record
from vitbench.run.store.lock import move_aside
from vitbench.run.store.writer import Writer
from vitbench.utils.errors import UserError


def make_record(name="a", **changes):
    return Record(**{"id": name, "ablation": "x", "kind": "cost", "variant": "v", **changes})


def never(text):
    raise AssertionError(text)


def test_records_are_on_the_disk_at_once(tmp_path):
    with Writer(tmp_path / "new" / "run", never) as writer:
        for number in range(3):
            writer.append(make_record(str(number)))
            assert [r.id for r in read(tmp_path / "new" / "run", never)] == [str(i) for i in range(number + 1)]
        writer.append_many([make_record("3"), make_record("4")])
        assert writer.records == read(tmp_path / "new" / "run", never)


def test_a_reopened_folder_is_appended_to(tmp_path):
    for name in "abc":
        with Writer(tmp_path, never) as writer:
            writer.append(make_record(name))
    assert [r.id for r in read(tmp_path, never)] == ["a", "b", "c"]


def test_a_torn_line_is_moved_aside(tmp_path):
    with Writer(tmp_path, never) as writer:
        writer.append(make_record())
    whole = (tmp_path / "records.jsonl").read_bytes()
    (tmp_path / "records.jsonl").write_bytes(whole + whole[:70])
    told = []
    with Writer(tmp_path, told.append) as writer:
        assert len(writer.records) == 1
        writer.append(make_record("b"))
    assert "set aside in records.torn.jsonl" in told[0]
    assert (tmp_path / "records.torn.jsonl").read_bytes() == whole[:70] + b"\n"
    assert [r.id for r in read(tmp_path, never)] == ["a", "b"]


def test_a_lost_newline_is_put_back(tmp_path):
    with Writer(tmp_path, never) as writer:
        writer.append(make_record())
    whole = (tmp_path / "records.jsonl").read_bytes()
    (tmp_path / "records.jsonl").write_bytes(whole[:-1])
    with Writer(tmp_path, never) as writer:
        writer.append(make_record("b"))
    assert [r.id for r in read(tmp_path, never)] == ["a", "b"]


def test_an_incomplete_session_is_moved_aside(tmp_path):
    rows = [make_record(str(i), session="s", settings={"session_size": 3}) for i in range(3)]
    with Writer(tmp_path, never) as writer:
        writer.append_many([make_record(), *rows])
    lines = (tmp_path / "records.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "records.jsonl").write_bytes(b"".join(lines[:3]) + lines[3][:40])
    told = []
    with Writer(tmp_path, told.append) as writer:
        assert [r.id for r in writer.records] == ["a"]
    assert "2 of 3" in told[0]
    assert (tmp_path / "records.torn.jsonl").read_bytes() == b"".join(lines[1:3]) + lines[3][:40] + b"\n"


def test_a_foreign_line_stops_the_writer_and_stays(tmp_path):
    (tmp_path / "records.jsonl").write_bytes(b"hello\n")
    with pytest.raises(UserError, match="line 1 is not valid JSON"):
        Writer(tmp_path)
    assert (tmp_path / "records.jsonl").read_bytes() == b"hello\n"
    (tmp_path / "records.jsonl").write_bytes(b"")
    Writer(tmp_path).close()  # it had let go of the lock


def test_a_second_writer_is_told_who_holds_the_lock(tmp_path):
    with (
        Writer(tmp_path),
        pytest.raises(UserError, match=rf"process {os.getpid()} on .* since 20.*--results OTHER"),
    ):
        Writer(tmp_path)
    Writer(tmp_path).close()


def test_a_killed_writer_releases_the_lock(tmp_path):
    code = f"""
import time
from vitbench.run.store.writer import Writer
writer = Writer({str(tmp_path)!r})
print("held", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"process {holder.pid} on"):
            Writer(tmp_path)
        with pytest.raises(UserError, match=f"process {holder.pid} on"):
            move_aside(tmp_path)
        holder.send_signal(signal.SIGKILL)
    Writer(tmp_path).close()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be written: Not a directory.*--results OTHER"):
        Writer(tmp_path / "file" / "run")
    with pytest.raises(UserError, match="cannot be written"):
        Writer("/proc/vitbench")


@pytest.fixture
def small_disk():
    """No file can grow past 3,000 bytes; the write fails half-way, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, ignored)


def test_a_full_disk_leaves_whole_records(tmp_path, small_disk):
    with Writer(tmp_path, never) as writer:
        rows = (make_record(str(number)) for number in range(100))
        with pytest.raises(UserError, match=r"cannot be written: File too large; recorded results are kept"):
            list(map(writer.append, rows))
        kept = len(writer.records)
        assert kept > 2
        with pytest.raises(UserError, match="File too large"):
            writer.save_arrays("big", {"x": np.random.default_rng(0).random(10_000)})
        assert list((tmp_path / "artifacts").iterdir()) == []
    assert len(read(tmp_path, never)) == kept


def test_arrays_come_back(tmp_path):
    arrays = {"curve": np.arange(5.0), "predictions": np.arange(6).reshape(2, 3)}
    with Writer(tmp_path, never) as writer:
        name = writer.save_arrays("id1", arrays)
        again = writer.save_arrays("id1", arrays)
    assert name == again == "id1.npz"
    assert [path.name for path in (tmp_path / "artifacts").iterdir()] == ["id1.npz"]
    found = load_arrays(tmp_path, name)
    assert found.keys() == arrays.keys()
    for key, value in arrays.items():
        np.testing.assert_array_equal(found[key], value)


def test_an_environment_is_described_once(tmp_path):
    one, other = Environment({"cores": 2}), Environment({"cores": 4})
    for _ in range(2):
        with Writer(tmp_path, never) as writer:
            assert [writer.add_environment(e) for e in (one, other, one)] == [one.hash, other.hash, one.hash]
    assert read_environments(tmp_path) == {one.hash: {"cores": 2}, other.hash: {"cores": 4}}
    assert len((tmp_path / "environments.jsonl").read_text().splitlines()) == 2


def test_a_torn_environment_is_written_again(tmp_path):
    one, other = Environment({"cores": 2}), Environment({"cores": 4})
    with Writer(tmp_path, never) as writer:
        writer.add_environment(one)
    with (tmp_path / "environments.jsonl").open("a") as file:
        file.write('{"hash":"' + other.hash)
    with Writer(tmp_path, never) as writer:
        writer.add_environment(other)
    assert list(read_environments(tmp_path)) == [one.hash, other.hash]


def test_moving_aside_deletes_nothing(tmp_path):
    folder = tmp_path / "run"
    assert move_aside(folder) is None
    with Writer(folder, never) as writer:
        writer.append(make_record())
    moved = move_aside(folder)
    assert not folder.exists()
    assert moved.name.startswith("run.20")
    assert len(read(moved, never)) == 1
