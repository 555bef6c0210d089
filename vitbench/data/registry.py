"""Data sets by name: digits, quadrant, majority, folder:PATH[@SIZE], cifar10:PATH, cifar100:PATH."""

from __future__ import annotations

import importlib
from types import ModuleType

from vitbench.data import cifar, folder
from vitbench.data.dataset import Dataset
from vitbench.data.spec import DataSpec
from vitbench.errors import UserError, unknown

_EMBEDDED = {"digits": "1,797 real digits", "quadrant": "known answer", "majority": "known answer"}
_ON_DISK = {"folder": "folder:PATH[@SIZE]", "cifar10": "cifar10:PATH", "cifar100": "cifar100:PATH"}


def names() -> tuple[str, ...]:
    """What can be loaded, in the form in which it is typed."""
    return (*_EMBEDDED, *_ON_DISK.values())


def describe(name: str) -> DataSpec:
    """What ``load`` would bring. At once for embedded data; data on disk are read, and so checked, in full.

    Raises:
        UserError: no such data set, or its files are not usable.
    """
    kind, path = _parse(name)
    if path is None:
        spec: DataSpec = _module(kind).SPEC
        return spec
    return load(name).spec


def load(name: str) -> Dataset:
    """The three splits, in memory.

    Raises:
        UserError: no such data set, or its files are not usable.
    """
    kind, path = _parse(name)
    if path is None:
        dataset: Dataset = _module(kind).load()
        return dataset
    if kind == "folder":
        return folder.load(path)
    return cifar.load(kind, path)


def _parse(name: str) -> tuple[str, str | None]:
    """``"cifar10:data"`` → ``("cifar10", "data")``; ``"digits"`` → ``("digits", None)``."""
    kind, colon, path = name.partition(":")
    if kind in _EMBEDDED and not colon:
        return kind, None
    if kind in _ON_DISK:
        if not path:
            raise UserError(f"data set {name!r} needs a path: write {_ON_DISK[kind]}")
        return kind, path
    if kind in _EMBEDDED:
        raise UserError(f"data set {name!r} takes no path: write {kind}")
    raise UserError(unknown("data set", name if colon else kind, names()))


def _module(kind: str) -> ModuleType:
    """Imported late: scikit-learn, behind ``digits``, takes a second."""
    return importlib.import_module(f"vitbench.data.{kind}")
