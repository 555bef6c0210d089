"""A disk cache of arrays that are expensive to compute, shared by the trials of a run and by later runs.

The cache is ``$VITBENCH_CACHE``, else ``$XDG_CACHE_HOME/vitbench``, else ``~/.cache/vitbench``. It keeps at most 8 GiB
and evicts the least recently used entries. Deleting it is always safe: arrays that cannot be read are computed again.
Processes that need the same arrays at the same time wait for the first one to compute them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

LARGEST = 8 * 2**30
"""Maximum size of the cache in bytes."""

Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]


def folder() -> Path:
    named, xdg = os.environ.get("VITBENCH_CACHE"), os.environ.get("XDG_CACHE_HOME")
    return Path(named) if named else Path(xdg or "~/.cache").expanduser() / "vitbench"


def cached(key: str, make: Callable[[], Arrays]) -> Arrays:
    """The arrays that ``make`` returns, read from disk if they were stored under ``key``.

    ``key`` must identify everything that determines the arrays. Arrays from disk are memory-mapped copy-on-write:
    processes share their pages, and writes stay private to the process.
    """
    with _locked(key) as entry:
        if entry is None:
            return make()
        stored = _load(entry)
        if stored is None:
            made = make()
            _save(entry, made)
            return _load(entry) or made
        return stored


@contextlib.contextmanager
def _locked(key: str) -> Iterator[Path | None]:
    """The path of the entry, locked by this process; None if the cache cannot be used."""
    with contextlib.ExitStack() as stack:
        try:
            root = folder()
            root.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context((root / f"{key}.lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        except (OSError, RuntimeError):  # not writable, a network disk without locks, no home
            entry = None
        else:
            entry = root / key
        yield entry


def _load(entry: Path) -> dict[str, npt.NDArray[Any]] | None:
    try:
        found = {file.stem: np.load(file, mmap_mode="c", allow_pickle=False) for file in sorted(entry.glob("*.npy"))}
        os.utime(entry)  # marks it as recently used
    except (OSError, ValueError, EOFError):  # absent, or truncated by a crash of the machine
        return None
    return found or None


def _save(entry: Path, arrays: Arrays) -> None:
    """Stores all arrays or none; a full disk is not an error."""
    with contextlib.suppress(OSError), tempfile.TemporaryDirectory(dir=entry.parent) as temporary:
        whole = Path(temporary) / "whole"
        whole.mkdir()
        for name, array in arrays.items():
            np.save(whole / f"{name}.npy", array, allow_pickle=False)
        shutil.rmtree(entry, ignore_errors=True)
        whole.rename(entry)
        _evict(entry)


def _evict(newest: Path) -> None:
    """Removes the least recently used entries beyond ``LARGEST``; processes that mapped an array can still read it."""
    entries = sorted(
        (p for p in newest.parent.iterdir() if p.is_dir() and p != newest), key=lambda p: -p.stat().st_mtime
    )
    free = LARGEST - _size(newest)
    for entry in entries:
        free -= _size(entry)
        if free < 0:
            shutil.rmtree(entry, ignore_errors=True)
            entry.with_suffix(".lock").unlink(missing_ok=True)


def _size(entry: Path) -> int:
    return sum(file.stat().st_size for file in entry.glob("*.npy"))
