"""Data sets from named arrays: a ``npz:PATH`` file, or the dict that a ``python:`` function returns.

    images, labels                                             split here: a tenth for validation, a tenth for test
    train_images, train_labels, test_images, test_labels       used as given (MedMNIST's names); without val_images and
                                                               val_labels, a tenth of train becomes validation
    x_train, y_train, x_test, y_test                           the same in Keras's names, optionally with x_val, y_val
    classes                                                    optional: class names, in the order of the labels
    shift, flip                                                optional: whether training images may be shifted
                                                               (default True) and mirrored (default False)

Images are square: (n, side, side), (n, side, side, channels) or (n, channels, side, side). Integers from 0 to 255
become uint8, other numbers float32. Labels are integers from 0, of shape (n,) or (n, 1).
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vitbench.data.dataset import Dataset, Split, make_dataset, make_split
from vitbench.data.split import MIN_TRAIN_IMAGES, stratified
from vitbench.utils.errors import UserError, choices

WHOLE = {"train": ("images", "labels")}
NAMINGS = (
    {part: (f"{part}_images", f"{part}_labels") for part in ("train", "val", "test")},
    {part: (f"x_{part}", f"y_{part}") for part in ("train", "val", "test")},
)
EXPECTED = (
    "images and labels, or train_images, train_labels, test_images and test_labels, or "
    "x_train, y_train, x_test and y_test"
)


def load_npz(path: str) -> Dataset:
    """The data set in a file written by ``numpy.savez``; pickled objects are refused.

    Raises:
        UserError: the file does not exist, is not an npz file, or its arrays are not as described above.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise UserError(f"npz: there is no file {file}: give the path of a file that numpy.savez wrote")
    try:
        with file.open("rb") as raw:
            content = np.load(raw, allow_pickle=False)
            if isinstance(content, np.ndarray):
                raise UserError(
                    f"npz: {file} contains one unnamed array: write it with numpy.savez, with the names {EXPECTED}"
                )
            arrays = {name: content[name] for name in content.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, MemoryError) as error:
        raise UserError(f"npz: {file} cannot be read ({error}): write it with numpy.savez, without objects") from None
    return from_arrays(arrays, name=f"npz:{path}", source=f"npz: {file}")


def from_arrays(arrays: Mapping[str, Any], *, name: str, source: str) -> Dataset:
    """The data set ``name`` built from arrays; error messages begin with ``source``.

    Raises:
        UserError: an array is missing or not as described above.
    """
    found = {part: _pair(arrays, keys, source) for part, keys in _parts(set(arrays), source).items()}
    images, labels = ({part: pair[i] for part, pair in found.items()} for i in (0, 1))
    formats = {(str(array.dtype), array.shape[1:]) for array in images.values()}
    if len(formats) > 1:
        differences = choices(f"{part}: {array.shape[1:]} {array.dtype}" for part, array in images.items())
        raise UserError(
            f"{source} has images that differ between the splits ({differences}): "
            "give all splits the same shape and dtype"
        )
    classes = _classes(arrays, labels["train"], source)
    for part, values in labels.items():
        if len(values) and not 0 <= values.min() <= values.max() < len(classes):
            invalid = values.min() if values.min() < 0 else values.max()
            raise UserError(
                f"{source} has the label {invalid} in {part}: there are {len(classes)} classes, 0 to {len(classes) - 1}"
            )
    _check(classes, labels, source)
    splits = _split(images, labels)
    return make_dataset(
        name=name,
        version=f"1-{_digest(images, labels, classes)}",
        classes=classes,
        train=splits["train"],
        val=splits["val"],
        test=splits["test"],
        shift=_flag(arrays, "shift", source, default=True),
        flip=_flag(arrays, "flip", source, default=False),
    )


def _parts(names: set[str], source: str) -> dict[str, tuple[str, str]]:
    """The array names of images and labels for each split that is given."""
    if {*WHOLE["train"]} <= names:
        return dict(WHOLE)
    for naming in NAMINGS:
        if {*naming["train"], *naming["test"]} <= names:
            missing = {*naming["val"]} - names
            if len(missing) == 1:
                raise UserError(f"{source} lacks {missing.pop()}: give both or none of {choices(naming['val'])}")
            return naming if not missing else {part: naming[part] for part in ("train", "test")}
    raise UserError(f"{source} contains {choices(sorted(names)) or 'nothing'}: give {EXPECTED}")


def _pair(
    arrays: Mapping[str, Any], keys: tuple[str, str], source: str
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Images (n, channels, side, side) and labels (n,) of one split."""
    images, labels = _images(_array(arrays, keys[0], source), f"{source}: {keys[0]}"), _array(arrays, keys[1], source)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "biu":
        raise UserError(
            f"{source}: {keys[1]} is {labels.shape} {labels.dtype}: give one integer per image, starting at 0"
        )
    if len(labels) != len(images):
        raise UserError(
            f"{source}: {keys[1]} has {len(labels)} labels for {len(images)} images: give one label per image"
        )
    return images, labels.astype(np.int64)


def _array(arrays: Mapping[str, Any], key: str, source: str) -> npt.NDArray[Any]:
    try:
        return np.asarray(arrays[key])
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{source}: {key} is not an array ({error}): give numbers in memory") from None


def _images(images: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """(n, channels, side, side), uint8 or float32."""
    shape = images.shape
    if images.ndim == 3 and shape[1] == shape[2]:
        images = images[:, None]
    elif images.ndim == 4 and shape[1] == shape[2]:
        images = images.transpose(0, 3, 1, 2)
    elif images.ndim != 4 or shape[2] != shape[3]:
        raise UserError(
            f"{name} has shape {shape}: give square images, (n, side, side), (n, side, side, channels) or "
            "(n, channels, side, side)"
        )
    if images.dtype.kind not in "biuf":
        raise UserError(f"{name} contains {images.dtype}: give numbers")
    if not images.size:
        raise UserError(f"{name} has shape {shape}: give at least one image")
    if images.dtype.kind != "f":
        return images.astype(np.uint8 if images.min() >= 0 and images.max() <= 255 else np.float32)
    if not np.isfinite(images).all():
        raise UserError(f"{name} contains values that are not finite: remove those images")
    return images.astype(np.float32)


def _classes(arrays: Mapping[str, Any], labels: npt.NDArray[np.int64], source: str) -> tuple[str, ...]:
    if "classes" not in arrays:
        return tuple(str(i) for i in range(int(labels.max()) + 1))
    names = _array(arrays, "classes", source)
    if names.ndim != 1 or names.dtype.kind != "U" or len(set(names.tolist())) != len(names):
        raise UserError(f"{source}: classes is {names.shape} {names.dtype}: give a list of distinct names")
    return tuple(names.tolist())


def _check(classes: tuple[str, ...], labels: Mapping[str, npt.NDArray[np.int64]], source: str) -> None:
    if len(classes) < 2:
        raise UserError(f"{source} has one class: give at least two")
    if len(labels["train"]) < MIN_TRAIN_IMAGES:
        raise UserError(f"{source} has {len(labels['train'])} training images: give at least {MIN_TRAIN_IMAGES}")
    empty = [name for i, name in enumerate(classes) if i not in set(labels["train"].tolist())]
    if empty:
        raise UserError(f"{source} has classes without training images: {choices(empty)}: number them without gaps")


def _split(images: Mapping[str, npt.NDArray[Any]], labels: Mapping[str, npt.NDArray[np.int64]]) -> dict[str, Split]:
    """All three splits; a missing validation or test split takes a tenth of the training images."""
    tenth = max(1, round(len(labels["train"]) / 10))
    train, val, test = stratified(
        labels["train"].tolist(), num_val=0 if "val" in labels else tenth, num_test=0 if "test" in labels else tenth
    )
    splits = {part: make_split(images[part], labels[part]) for part in images if part != "train"}
    rows = {"train": train, "val": val, "test": test}
    return splits | {
        part: make_split(images["train"], labels["train"], rows[part]) for part in rows if part not in splits
    }


def _flag(arrays: Mapping[str, Any], key: str, source: str, *, default: bool) -> bool:
    value = np.asarray(arrays.get(key, default))
    if value.shape != () or value.dtype.kind != "b":
        raise UserError(f"{source}: {key} is {value.shape} {value.dtype}: give True or False")
    return bool(value)


def _digest(
    images: Mapping[str, npt.NDArray[Any]], labels: Mapping[str, npt.NDArray[np.int64]], classes: Iterable[str]
) -> str:
    digest = hashlib.sha256("\0".join(classes).encode(errors="surrogateescape"))
    for part, array in images.items():
        for values in (array, labels[part]):
            digest.update(f"\0{part}{values.shape}{values.dtype}\0".encode())
            digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()[:12]
