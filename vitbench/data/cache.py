"""Arrays that were costly to make, kept on disk so that the trials of a run, and the next run, make them once.

They lie in ``$VITBENCH_CACHE``, else ``$XDG_CACHE_HOME/vitbench``, else ``~/.cache/vitbench``; at most 8 GiB, the
longest unused go first. Whatever goes wrong there, the arrays are made anew: nothing depends on this folder, and
deleting it is always safe. Processes that want the same arrays at one moment wait for the one that makes them.
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
"""Bytes that may stay."""

Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]


def folder() -> Path:
    named, xdg = os.environ.get("VITBENCH_CACHE"), os.environ.get("XDG_CACHE_HOME")
    return Path(named) if named else Path(xdg or "~/.cache").expanduser() / "vitbench"


def cached(key: str, make: Callable[[], Arrays]) -> Arrays:
    """What ``make`` returns, from disk if it was made under this ``key`` before: a name for all that decides it.

    Arrays from disk are mapped, not read: processes share their memory, and what one writes into them stays its own.
    """
    with _locked(key) as place:
        if place is None:
            return make()
        kept = _load(place)
        if kept is None:
            made = make()
            _save(place, made)
            return _load(place) or made
        return kept


@contextlib.contextmanager
def _locked(key: str) -> Iterator[Path | None]:
    """The place of ``key``, held by this process alone; None where there can be none."""
    with contextlib.ExitStack() as held:
        try:
            root = folder()
            root.mkdir(parents=True, exist_ok=True)
            lock = held.enter_context((root / f"{key}.lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        except (OSError, RuntimeError):  # not ours to write, a network disk without locks, no home
            place = None
        else:
            place = root / key
        yield place


def _load(place: Path) -> dict[str, npt.NDArray[Any]] | None:
    try:
        found = {file.stem: np.load(file, mmap_mode="c", allow_pickle=False) for file in sorted(place.glob("*.npy"))}
        os.utime(place)  # used just now
    except (OSError, ValueError, EOFError):  # absent, or torn by a crash of the machine
        return None
    return found or None


def _save(place: Path, arrays: Arrays) -> None:
    """All of them or none; a full disk is no reason to stop."""
    with contextlib.suppress(OSError), tempfile.TemporaryDirectory(dir=place.parent) as temporary:
        whole = Path(temporary) / "whole"
        whole.mkdir()
        for name, array in arrays.items():
            np.save(whole / f"{name}.npy", array, allow_pickle=False)
        shutil.rmtree(place, ignore_errors=True)
        whole.rename(place)
        _make_room(place)


def _make_room(newest: Path) -> None:
    """Removes the longest unused until what stays is small enough. An array in use stays readable to who has it."""
    places = sorted(
        (p for p in newest.parent.iterdir() if p.is_dir() and p != newest), key=lambda p: -p.stat().st_mtime
    )
    room = LARGEST - _size(newest)
    for place in places:
        room -= _size(place)
        if room < 0:
            shutil.rmtree(place, ignore_errors=True)
            place.with_suffix(".lock").unlink(missing_ok=True)


def _size(place: Path) -> int:
    return sum(file.stat().st_size for file in place.glob("*.npy"))
