"""MNIST and Fashion-MNIST from their four IDX files, plain or ``.gz``: 28×28, one channel.

MNIST (LeCun et al. 1998) and Fashion-MNIST (Xiao et al. 2017, arXiv 1708.07747) share a format: two zero bytes, the
data type (8: a byte), the number of dimensions, each dimension as a big-endian 32-bit integer, the values. Nothing is
downloaded. The files may be in the folder itself or where torchvision puts them (``MNIST/raw``, ``FashionMNIST/raw``).
The official test files are the test split; a fixed tenth of the training images is the validation split.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from vitbench.data.dataset import Dataset, make_dataset, make_split
from vitbench.data.split import stratified
from vitbench.utils.errors import UserError, choices

LARGEST_SIZE = 1024


@dataclass(frozen=True)
class _Layout:
    folder: str  # torchvision's
    classes: tuple[str, ...]
    flip: bool  # a mirrored shoe is a shoe; a mirrored 2 is not a 2


_KINDS = {
    "mnist": _Layout("MNIST", tuple("0123456789"), flip=False),
    "fashion_mnist": _Layout(
        "FashionMNIST",
        ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"),
        flip=True,
    ),
}
_PARTS = {"train": "train", "test": "t10k"}


def load(kind: str, path: str) -> Dataset:
    """MNIST or Fashion-MNIST.

    Args:
        kind: ``mnist`` or ``fashion_mnist``.
        path: the folder of the files, or torchvision's root folder.

    Raises:
        UserError: the folder does not exist, or a file is missing, damaged, truncated or not an IDX file.
    """
    layout = _KINDS[kind]
    root = Path(path).expanduser()
    if not root.is_dir():
        raise UserError(f"{kind}: there is no folder {root}: give the path of the folder with {_name('train', 3)}")
    digest = hashlib.sha256()
    images, labels = {}, {}
    for part in _PARTS:
        images[part] = _array(_find(kind, root, layout, part, 3), 3)
        file = _find(kind, root, layout, part, 1)
        labels[part] = _array(file, 1)
        _check(file, images[part], labels[part], len(layout.classes))
        for array in (images[part], labels[part]):
            digest.update(f"{part}{array.shape}".encode())
            digest.update(array.tobytes())
    if images["train"].shape[1:] != images["test"].shape[1:]:
        raise UserError(f"{kind}: training and test images in {root} differ in size: take both from one data set")
    train, val, _ = stratified(labels["train"].tolist(), num_val=max(1, len(labels["train"]) // 10), num_test=0)
    raw = images["train"][:, None]
    return make_dataset(
        name=f"{kind}:{path}",
        version=f"1-{digest.hexdigest()[:12]}",
        classes=layout.classes,
        train=make_split(raw, labels["train"], train),
        val=make_split(raw, labels["train"], val),
        test=make_split(images["test"][:, None], labels["test"]),
        shift=True,
        flip=layout.flip,
    )


def _name(part: str, dimensions: int) -> str:
    return f"{_PARTS[part]}-{'images' if dimensions == 3 else 'labels'}-idx{dimensions}-ubyte"


def _find(kind: str, root: Path, layout: _Layout, part: str, dimensions: int) -> Path:
    """The path of a file, preferring the folder itself to torchvision's and plain to compressed."""
    name = _name(part, dimensions)
    for folder in (root, root / "raw", root / layout.folder / "raw"):
        for spelling in (name, name.replace("-idx", ".idx")):
            for file in (folder / spelling, folder / f"{spelling}.gz"):
                if file.is_file():
                    return file
    names = [_name(part, dimensions) for part in _PARTS for dimensions in (3, 1)]
    raise UserError(
        f"{kind}: {root} lacks {name}: it needs {choices(names)}, plain or .gz, there or in {layout.folder}/raw"
    )


def _array(file: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    """The values of one file, in the shape that its header gives."""
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            return _values(file, stream, dimensions)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{file} is damaged ({error}): download it again") from None
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error}): check its permissions") from None


def _values(file: Path, stream: BinaryIO | gzip.GzipFile, dimensions: int) -> npt.NDArray[np.uint8]:
    magic = bytes([0, 0, 8, dimensions])
    header = stream.read(4 + 4 * dimensions)
    if header[:4] != magic:
        raise UserError(
            f"{file} begins with {header[:4].hex() or 'nothing'}, not with {magic.hex()}: it is not an IDX file in "
            f"{dimensions} dimension{'s' if dimensions > 1 else ''}"
        )
    if len(header) < 4 + 4 * dimensions:
        raise UserError(f"{file} is truncated: it ends within its header: download it again")
    shape = struct.unpack(f">{dimensions}I", header[4:])
    if shape[1:] and not (shape[1] == shape[2] and 1 <= shape[1] <= LARGEST_SIZE):
        raise UserError(
            f"{file} has images of {shape[1]}×{shape[2]}: they must be squares of 1 to {LARGEST_SIZE} pixels"
        )
    expected = math.prod(shape)
    raw = _read(stream, expected + 1)  # one more, to notice a file that is too long
    if len(raw) != expected:
        found = f"has {len(raw):,}" if len(raw) < expected else "has more than its"
        raise UserError(f"{file} {found} of {expected:,} bytes: it is truncated or damaged: download it again")
    return np.frombuffer(raw, dtype=np.uint8).reshape(shape)


def _read(stream: BinaryIO | gzip.GzipFile, most: int) -> bytes:
    """At most ``most`` bytes, read in pieces: a damaged header may promise terabytes, which ``read`` would allocate."""
    pieces: list[bytes] = []
    while most and (piece := stream.read(min(most, 2**20))):
        pieces.append(piece)
        most -= len(piece)
    return b"".join(pieces)


def _check(file: Path, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8], num_classes: int) -> None:
    if len(labels) != len(images):
        raise UserError(f"{file} has {len(labels)} labels for {len(images)} images: take both from one data set")
    if not len(labels):
        raise UserError(f"{file} has no labels: download it again")
    if labels.max() >= num_classes:
        raise UserError(f"{file} has the label {labels.max()}: there are {num_classes} classes, 0 to {num_classes - 1}")
