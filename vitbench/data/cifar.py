"""CIFAR-10 and CIFAR-100 from the unpacked official archive (Krizhevsky 2009): 32×32, RGB.

Nothing is downloaded: get ``cifar-10-python.tar.gz`` or ``cifar-100-python.tar.gz`` and unpack it. The official test
files are the test split; a fixed tenth of the training images is the validation split.
"""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vitbench.data import safe_pickle
from vitbench.data.dataset import Dataset, make_dataset, make_split
from vitbench.data.split import stratified
from vitbench.utils.errors import UserError, choices

SIDE = 32


@dataclass(frozen=True)
class _Layout:
    folder: str
    train: tuple[str, ...]
    test: str
    meta: str
    names: bytes  # key of the class names in the meta file
    labels: bytes


_LAYOUTS = {
    "cifar10": _Layout(
        "cifar-10-batches-py",
        tuple(f"data_batch_{i}" for i in range(1, 6)),
        "test_batch",
        "batches.meta",
        b"label_names",
        b"labels",
    ),
    "cifar100": _Layout("cifar-100-python", ("train",), "test", "meta", b"fine_label_names", b"fine_labels"),
}


def load(kind: str, path: str) -> Dataset:
    """CIFAR-10 or CIFAR-100.

    Args:
        kind: ``cifar10`` or ``cifar100``.
        path: the unpacked folder, or its parent.

    Raises:
        UserError: the folder does not exist, or a file is missing, truncated or not in CIFAR's format.
    """
    layout = _LAYOUTS[kind]
    root = _root(kind, Path(path).expanduser(), layout)
    classes = _classes(root / layout.meta, layout)
    digest = hashlib.sha256()
    parts = [_batch(root / file, layout, len(classes), digest) for file in layout.train]
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    test_images, test_labels = _batch(root / layout.test, layout, len(classes), digest)
    train, val, _ = stratified(labels.tolist(), num_val=max(1, len(labels) // 10), num_test=0)
    return make_dataset(
        name=f"{kind}:{path}",
        version=f"1-{digest.hexdigest()[:12]}",
        classes=classes,
        train=make_split(images, labels, train),
        val=make_split(images, labels, val),
        test=make_split(test_images, test_labels),
        shift=True,
        flip=True,
    )


def _root(kind: str, path: Path, layout: _Layout) -> Path:
    needed = (*layout.train, layout.test, layout.meta)
    if not path.is_dir():
        raise UserError(f"{kind}: there is no folder {path}: unpack the archive and give the path of {layout.folder}")
    root = path / layout.folder if (path / layout.folder).is_dir() else path
    missing = [file for file in needed if not (root / file).is_file()]
    if missing:
        raise UserError(f"{kind}: {root} lacks {choices(missing)}: give the path of {layout.folder}")
    return root


def _classes(file: Path, layout: _Layout) -> tuple[str, ...]:
    names = _unpickle(file, _bytes(file)).get(layout.names)
    if not isinstance(names, list) or len(names) < 2 or not all(isinstance(name, bytes) for name in names):
        raise UserError(f"{file} does not name two or more classes under {layout.names.decode()}")
    return tuple(name.decode() for name in names)


def _batch(
    file: Path, layout: _Layout, num_classes: int, digest: hashlib._Hash
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Images (n, 3, 32, 32) and labels (n,) of one file."""
    raw = _bytes(file)
    digest.update(raw)
    content = _unpickle(file, raw)
    data, labels = content.get(b"data"), content.get(layout.labels)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3 * SIDE**2:
        raise UserError(f"{file} has no {SIDE}×{SIDE} images in CIFAR's format: unpack the archive again")
    known = range(num_classes)
    if not isinstance(labels, list) or len(labels) != len(data) or not all(label in known for label in labels):
        raise UserError(
            f"{file} does not have one {layout.labels.decode()} below {num_classes} per image: unpack the archive again"
        )
    return data.reshape(-1, 3, SIDE, SIDE), np.asarray(labels, dtype=np.int64)


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error}): check its permissions") from None


def _unpickle(file: Path, raw: bytes) -> dict[Any, Any]:
    try:
        content = safe_pickle.loads(raw)
    except pickle.UnpicklingError as error:
        raise UserError(f"{file} is unsafe to read: {error}") from None
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise UserError(f"{file} is damaged ({type(error).__name__}): unpack the archive again") from error
    if not isinstance(content, dict):
        raise UserError(f"{file} is not in CIFAR's format: it contains a {type(content).__name__}, not a dict")
    return content
