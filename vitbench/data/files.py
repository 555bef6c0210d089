"""Listings of image files in class folders, and a compact list of paths to share with worker processes."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vitbench.data.decode import SUFFIXES, shown
from vitbench.utils.errors import UserError, choices

HASHED_UP_TO = 2 * 2**30
"""Total bytes up to which the version is a digest of file contents; above, of names and sizes only."""

NAMED = 3
"""Number of files that an error message names before it counts the rest."""


@dataclass(frozen=True)
class Files:
    """Paths in two arrays. Reading a list of strings would change reference counts, so workers would copy its pages."""

    path_bytes: npt.NDArray[np.uint8]
    ends: npt.NDArray[np.int64]  # (n,)

    @classmethod
    def of(cls, paths: Sequence[str]) -> Files:
        raw = [os.fsencode(path) for path in paths]
        return cls(np.frombuffer(b"".join(raw), dtype=np.uint8), np.cumsum([len(r) for r in raw], dtype=np.int64))

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, row: int) -> str:
        start = self.ends[row - 1] if row else 0
        return os.fsdecode(self.path_bytes[start : self.ends[row]].tobytes())

    def take(self, rows: Sequence[int]) -> Files:
        return Files.of([self[row] for row in rows])

    def digest(self) -> str:
        """Digest of the file sizes and the names, each with its parent folder only."""
        digest = hashlib.sha256()
        for row in range(len(self)):
            path = self[row]
            digest.update(os.fsencode("/".join(path.split("/")[-2:])) + b"\0%d\0" % Path(path).stat().st_size)
        return digest.hexdigest()[:12]


@dataclass(frozen=True)
class Listing:
    """The images under ``root``, sorted by class, with ``names`` relative to ``root``."""

    root: str
    classes: tuple[str, ...]
    names: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]  # bytes
    modified: npt.NDArray[np.int64]  # nanoseconds since 1970

    def __len__(self) -> int:
        return len(self.names)

    @property
    def paths(self) -> list[str]:
        return [f"{self.root}/{name}" for name in self.names]


def list_classes(folder: Path) -> Listing:
    """The images of every class folder, at any depth; names that begin with a dot are skipped.

    Raises:
        UserError: no images, a class without images, or empty files.
    """
    try:
        with os.scandir(folder) as entries:
            folders = sorted((e.name for e in entries if not e.name.startswith(".") and e.is_dir()), key=_natural)
        found = [
            (label, f"{name}/{below}", entry)
            for label, name in enumerate(folders)
            for below, entry in sorted(_images(f"{folder}/{name}", ""))
        ]
        stats = [entry.stat() for *_, entry in found]
    except OSError as error:
        raise UserError(f"{shown(str(folder))} cannot be read ({error}): check its permissions") from None
    if not found:
        raise UserError(
            f"{shown(str(folder))} has no images in subfolders: give a folder with one subfolder per class, with files "
            f"that end in {choices(SUFFIXES)}"
        )
    listing = Listing(
        root=str(folder),
        classes=tuple(map(shown, folders)),
        names=tuple(name for _, name, _ in found),
        labels=np.array([label for label, *_ in found], dtype=np.int64),
        sizes=np.array([stat.st_size for stat in stats], dtype=np.int64),
        modified=np.array([stat.st_mtime_ns for stat in stats], dtype=np.int64),
    )
    filled = set(listing.labels.tolist())
    empty = [name for label, name in enumerate(listing.classes) if label not in filled]
    if empty:
        raise UserError(f"{shown(str(folder))} has classes without images: {choices(empty)}: add images or remove them")
    paths = listing.paths
    blank = [paths[i] for i in np.flatnonzero(listing.sizes == 0)]
    if blank:
        more = f" and {len(blank) - NAMED:,} more" if len(blank) > NAMED else ""
        raise UserError(
            f"{choices(map(shown, blank[:NAMED]))}{more} cannot be read as an image (0 bytes): repair or remove it"
        )
    return listing


def cache_key(listings: dict[str, Listing], *settings: object) -> str:
    """Digest of file names, sizes, modification times and settings."""
    digest = hashlib.sha256(repr(settings).encode("utf-8", "backslashreplace"))
    for part, listing in listings.items():
        digest.update(os.fsencode("\0".join((part, listing.root, *listing.names))))
        digest.update(listing.sizes.tobytes() + listing.modified.tobytes())
    return digest.hexdigest()[:32]


def version_of(listings: dict[str, Listing], *settings: object) -> str:
    """Digest of file names, sizes, settings and, up to ``HASHED_UP_TO``, content; independent of location and times.

    Raises:
        UserError: a file cannot be read.
    """
    digest = hashlib.sha256(repr(settings).encode())
    whole = sum(int(listing.sizes.sum()) for listing in listings.values()) <= HASHED_UP_TO
    for part, listing in listings.items():
        for name, path, size in zip(listing.names, listing.paths, listing.sizes.tolist(), strict=True):
            digest.update(os.fsencode(f"\0{part}/{name}\0{size}\0"))
            if whole:
                digest.update(_content(path))
    return digest.hexdigest()[:12]


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{shown(path)} cannot be read ({error.strerror}): check its permissions") from None


def _natural(name: str) -> list[tuple[int, int | str]]:
    """Sort key that puts ``class2`` before ``class10``."""
    return [(0, int(word)) if word.isdecimal() else (1, word) for word in re.split(r"(\d+)", name) if word]


def _images(folder: str, below: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """The relative name and directory entry of every image in ``folder``, at any depth."""
    with os.scandir(f"{folder}/{below}") as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _images(folder, f"{below}{entry.name}/")
            elif entry.name.lower().endswith(SUFFIXES) and (entry.is_file() or not entry.is_dir()):
                yield f"{below}{entry.name}", entry
