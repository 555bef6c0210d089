"""What a trial does to the results folder itself is undone: each harm is done for real."""

import os
import shutil
import tempfile

import pytest

from vitbench.records.reader import read, read_environments
from vitbench.records.record import Environment, Record
from vitbench.run.store.writer import Writer
from vitbench.utils.errors import UserError


def make_record(name, **changes):
    return Record(**{"id": name, "ablation": "x", "kind": "cost", "variant": "v", **changes})


def never(text):
    raise AssertionError(text)


def emptied(folder):
    (folder / "records.jsonl").write_bytes(b"")


def cut(folder):
    os.truncate(folder / "records.jsonl", 700)


def written_over(folder):
    with (folder / "records.jsonl").open("r+b") as file:
        file.seek(10)
        file.write(b"graffiti")


def added_to(folder):
    with (folder / "records.jsonl").open("ab") as file:
        file.write(b"epoch 3: loss 0.1\n")


def removed(folder):
    (folder / "records.jsonl").unlink()


def replaced(folder):
    (folder / "other").write_text("mine")
    (folder / "other").rename(folder / "records.jsonl")


def made_a_folder(folder):
    (folder / "records.jsonl").unlink()
    (folder / "records.jsonl").mkdir()


def environments_emptied(folder):
    (folder / "environments.jsonl").write_text("")


def all_removed(folder):
    shutil.rmtree(folder)


def moved(folder):
    folder.rename(folder.with_name("elsewhere"))


HARM = [
    emptied, cut, written_over, added_to, removed, replaced, made_a_folder, environments_emptied, all_removed, moved
]  # fmt: skip


@pytest.mark.parametrize("when", ["before a record", "before the end"])
@pytest.mark.parametrize("harm", HARM, ids=lambda harm: harm.__name__)
def test_changes_by_something_else_are_undone_and_noted(tmp_path, harm, when):
    folder, told = tmp_path / "run", []
    with Writer(folder, never) as writer:
        writer.append_many([make_record("a"), make_record("b")])
    environment = Environment({"cores": 2})
    samples = {"wall": {"unit": "s", "values": [1.0, 2.0]}}
    with Writer(folder, told.append) as writer:
        writer.add_environment(environment)
        writer.append(make_record("c", samples=samples))
        harm(folder)
        if when == "before a record":
            writer.append(make_record("d"))
            assert [r.id for r in read(folder, never)] == list("abcd")  # at once, not at the end
        assert writer.whole(next(r for r in writer.records if r.id == "c")).samples == samples
    assert [r.id for r in read(folder, never)] == list("abcd" if when == "before a record" else "abc")
    assert read_environments(folder) == {environment.hash: {"cores": 2}}
    assert told
    assert all("by something other than this run" in sentence for sentence in told)
    aside = sorted(path for path in tmp_path.rglob("*.foreign*"))
    assert bool(aside) == (harm not in {removed, all_removed, moved})
    with Writer(folder, never) as writer:
        assert len(writer.records) in {3, 4}


def test_a_changed_time_alone_is_ignored(tmp_path):
    with Writer(tmp_path, never) as writer:
        writer.append(make_record("a"))
        os.utime(tmp_path / "records.jsonl", (1, 1))
        writer.append(make_record("b"))
    assert [r.id for r in read(tmp_path, never)] == ["a", "b"]


def test_without_a_copy_a_change_ends_the_run_and_keeps_the_file(tmp_path, monkeypatch):
    def full(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    writer = Writer(tmp_path, never)
    writer.append_many([make_record("a"), make_record("b")])
    added_to(tmp_path)
    for _ in range(2):
        with pytest.raises(UserError, match="changed by something other than this run and cannot be restored: there"):
            writer.append(make_record("c"))
    writer.close()
    assert (tmp_path / "records.jsonl").read_bytes().count(b"\n") == 3


def test_a_second_writer_keeps_a_folder_whose_lock_was_removed(tmp_path):
    first = Writer(tmp_path, never)
    first.append(make_record("a"))
    (tmp_path / ".lock").unlink()
    with Writer(tmp_path, never) as second:
        second.append(make_record("b"))
        with pytest.raises(UserError, match=f"is being written by process {os.getpid()}"):
            first.append(make_record("c"))
    first.close()
    assert [r.id for r in read(tmp_path, never)] == ["a", "b"]
