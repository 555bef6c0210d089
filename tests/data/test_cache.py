from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

from vitbench.data import cache


class _Make:
    """Counts how often it is asked."""

    def __init__(self, value: int = 7, size: int = 10) -> None:
        self.calls, self.value, self.size = 0, value, size

    def __call__(self):
        self.calls += 1
        return {"images": np.full(self.size, self.value, dtype=np.uint8), "name": np.array(["ž"])}


def _same(arrays, value: int = 7) -> bool:
    return (np.asarray(arrays["images"]) == value).all() and arrays["name"].tolist() == ["ž"]


def test_is_made_once():
    make = _Make()
    assert _same(cache.cached("key", make))
    assert _same(cache.cached("key", make))
    assert make.calls == 1
    assert _same(cache.cached("other", _Make(8)), 8)


def test_what_one_writes_into_it_stays_ones_own():
    cache.cached("key", _Make())["images"][:] = 0
    assert _same(cache.cached("key", _Make(99)))


def test_an_error_is_passed_on_and_nothing_kept():
    def broken():
        raise ValueError("no image")

    with pytest.raises(ValueError, match="no image"):
        cache.cached("key", broken)
    assert _same(cache.cached("key", _Make()))


@pytest.mark.parametrize("content", [b"", b"torn"])
def test_a_torn_file_is_made_again(content):
    cache.cached("key", _Make())
    (cache.folder() / "key" / "images.npy").write_bytes(content)
    assert _same(cache.cached("key", _Make(3)), 3)
    assert _same(cache.cached("key", _Make(4)), 3)


def test_without_a_place_it_is_made_each_time(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("VITBENCH_CACHE", str(tmp_path / "file"))
    make = _Make()
    assert _same(cache.cached("key", make))
    assert _same(cache.cached("key", make))
    assert make.calls == 2


def test_a_full_disk_stops_nothing(monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    make = _Make()
    assert _same(cache.cached("key", make))
    assert make.calls == 1
    assert not list(cache.folder().glob("*/*"))


def test_the_longest_unused_make_room(monkeypatch):
    monkeypatch.setattr(cache, "LARGEST", 3000)
    for age, key in enumerate(("old", "older", "oldest")):
        cache.cached(key, _Make(size=600))
        os.utime(cache.folder() / key, (1e9 - age, 1e9 - age))
    cache.cached("oldest", _Make())  # used just now
    cache.cached("new", _Make(size=600))
    assert sorted(p.name for p in cache.folder().iterdir() if p.is_dir()) == ["new", "old", "oldest"]


def _slow(path: str) -> dict[str, np.ndarray]:
    import time

    with Path(path).open("a") as log:
        log.write("made\n")
    time.sleep(0.3)
    return {"images": np.zeros(3, dtype=np.uint8)}


def _ask(path: str) -> None:
    cache.cached("shared", lambda: _slow(path))


def test_processes_that_want_the_same_wait_for_the_one_that_makes_it(tmp_path):
    log = tmp_path / "log"
    context = multiprocessing.get_context("fork")
    asking = [context.Process(target=_ask, args=(str(log),)) for _ in range(3)]
    for process in asking:
        process.start()
    for process in asking:
        process.join()
    assert [process.exitcode for process in asking] == [0, 0, 0]
    assert log.read_text() == "made\n"


def test_lies_where_other_caches_lie(monkeypatch, tmp_path):
    monkeypatch.delenv("VITBENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder() == tmp_path / "vitbench"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert cache.folder() == Path("/home/me/.cache/vitbench")
