"""The registry of data sets: embedded ones by name, others by ``KIND:PATH`` (see ``names``)."""

from __future__ import annotations

import importlib
from types import ModuleType

import torch

from vitbench.data import arrays, cifar, custom, folder, mnist, subset
from vitbench.data.dataset import Dataset
from vitbench.data.resize import resize
from vitbench.data.spec import DataSpec
from vitbench.utils.errors import UserError, unknown

_EMBEDDED = ("digits", "quadrant", "majority", "same_different", "translation")
FOLDERS = ("folder", "imagenet")
_EXTERNAL = {
    "folder": "folder:PATH[@SIZE]",
    "imagenet": "imagenet:PATH[@SIZE]",
    "cifar10": "cifar10:PATH",
    "cifar100": "cifar100:PATH",
    "mnist": "mnist:PATH",
    "fashion_mnist": "fashion_mnist:PATH",
    "npz": "npz:PATH",
    "python": "python:package.module:function",
}


def names() -> tuple[str, ...]:
    """The names of all data sets, as the user types them."""
    return (*_EMBEDDED, *_EXTERNAL.values())


def describe(name: str) -> DataSpec:
    """The spec of the data set that ``load`` returns, without decoding any image of a folder.

    Raises:
        UserError: the data set does not exist, or its files are not usable.
    """
    kind, path = _parse(name)
    if path is None:
        spec: DataSpec = _module(kind).SPEC
        return spec
    if kind in FOLDERS:
        return folder.describe(kind, path)
    return load(name).spec


def load(
    name: str, fraction: float = 1.0, per_class: int | None = None, seed: int = 0, *, scale: float = 1.0
) -> Dataset:
    """The three splits, in memory or, for large folders, streamed from disk.

    Only the training split is reduced; validation, test, mean and deviation are those of the full data set.

    Args:
        name: one of ``names()``.
        fraction: fraction of the training images to keep, stratified by class.
        per_class: number of training images of each class to keep, instead of ``fraction``.
        seed: seed of the subset; with one seed, smaller subsets are contained in larger ones.
        scale: factor on the side of the images. Folders are decoded at the scaled side; other images are resized.

    Raises:
        UserError: the data set does not exist, its files are not usable, or the subset is impossible.
    """
    kind, path = _parse(name)
    if path is not None and kind in FOLDERS:
        dataset = folder.load(kind, path, scale=scale)
    else:
        dataset = resize(_embedded(kind) if path is None else _external(kind, path), scale)
    if fraction == 1 and per_class is None:
        return dataset
    labels = dataset.train.labels.tolist()
    kept = subset.rows(labels, dataset.spec.classes, fraction=fraction, per_class=per_class, seed=seed)
    return dataset.with_train(torch.tensor(kept))


def _embedded(kind: str) -> Dataset:
    dataset: Dataset = _module(kind).load()
    return dataset


def _external(kind: str, path: str) -> Dataset:
    if kind in ("mnist", "fashion_mnist"):
        return mnist.load(kind, path)
    if kind == "npz":
        return arrays.load_npz(path)
    if kind == "python":
        return custom.load(path)
    return cifar.load(kind, path)


def _parse(name: str) -> tuple[str, str | None]:
    """``"cifar10:data"`` → ``("cifar10", "data")``; ``"digits"`` → ``("digits", None)``."""
    kind, colon, path = name.partition(":")
    if kind in _EMBEDDED and not colon:
        return kind, None
    if kind in _EXTERNAL:
        if not path:
            raise UserError(f"data set {name!r} needs a path: write {_EXTERNAL[kind]}")
        return kind, path
    if kind in _EMBEDDED:
        raise UserError(f"data set {name!r} takes no path: write {kind}")
    raise UserError(unknown("data set", name if colon else kind, names()))


def _module(kind: str) -> ModuleType:
    """The module of an embedded data set, imported on use: ``digits`` needs scikit-learn, which takes a second."""
    return importlib.import_module(f"vitbench.data.{kind}")
