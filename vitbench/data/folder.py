"""The user's own images: ``folder:PATH[@SIZE]``, one subfolder a class.

    PATH/cat/1.jpg  PATH/dog/7.png …                 split here: a tenth for validation, a tenth for test
    PATH/train/cat/1.jpg …  PATH/val/cat/9.jpg …     val/ is the test split; a tenth of train/ becomes validation
    PATH/train/…  PATH/val/…  PATH/test/…            as they are

So nothing is ever selected on the images that the accuracy is reported for. A split follows from the file names alone.
Images become RGB; their shorter side is resized to SIZE and the centre cut out. Without SIZE they are kept as they are
where all are squares of one size up to 64 pixels, else SIZE is 64.
"""

from __future__ import annotations

import hashlib
import re
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from vitbench.data.dataset import Dataset, Split, make_dataset, make_split
from vitbench.data.split import stratified
from vitbench.errors import UserError, choices

DEFAULT_SIZE = 64
LARGEST_SIZE = 1024
FEWEST = 10
"""Images that a split into three needs at least."""

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")

_BROKEN = (OSError, SyntaxError, ValueError, struct.error)
"""What Pillow raises for a file that is no image, or not all of one."""


@dataclass(frozen=True)
class _Listing:
    """Image files with their labels, under the names by which they are split."""

    files: tuple[Path, ...]
    labels: tuple[int, ...]
    names: tuple[str, ...]


def load(path: str) -> Dataset:
    """Reads every image once.

    Raises:
        UserError: no such folder, no images, an empty class, a single class, classes that differ between train/ and
            val/, or a file that is no complete image (named).
    """
    root, size = _parse(path)
    if not root.is_dir():
        raise UserError(f"folder: there is no folder {root}: give the path of a folder with one subfolder a class")
    parts = _parts(root)
    try:
        listings = {part: _list(folder) for part, folder in parts.items()}
    except OSError as error:
        raise UserError(f"folder: {root} cannot be read ({error}): check its permissions") from None
    classes = listings["train"][0]
    for part, (found, _) in listings.items():
        if found != classes:
            odd = sorted(set(found) ^ set(classes))
            raise UserError(f"folder: {parts['train']} and {parts[part]} have different classes: {choices(odd)}")
    if len(classes) < 2:
        raise UserError(
            f"folder: {parts['train']} holds one class, {classes[0]!r}: it takes two or more subfolders with images"
        )
    count = len(listings["train"][1].files)
    if count < FEWEST:
        raise UserError(f"folder: {parts['train']} holds {count} images: a split takes {FEWEST} or more")
    side = size or _common_size([file for _, listing in listings.values() for file in listing.files])
    digest = hashlib.sha256(f"{side}".encode())
    images = {part: _read(part, listing, side, digest) for part, (_, listing) in listings.items()}
    splits = _split(images, listings)
    return make_dataset(
        name=f"folder:{path}",
        version=f"1-{digest.hexdigest()[:12]}",
        classes=classes,
        train=splits["train"],
        val=splits["val"],
        test=splits["test"],
        shift=True,
        flip=True,
    )


def _parse(path: str) -> tuple[Path, int | None]:
    """``"images@32"`` → ``(images, 32)``, unless a folder of that very name exists."""
    match = re.fullmatch(r"(.+)@(\d+)", path)
    if match is None or Path(path).expanduser().is_dir():
        return Path(path).expanduser(), None
    if not 1 <= int(match[2]) <= LARGEST_SIZE:
        raise UserError(f"folder: size {match[2]} in {path!r} is not possible: it takes 1 to {LARGEST_SIZE}")
    return Path(match[1]).expanduser(), int(match[2])


def _parts(root: Path) -> dict[str, Path]:
    """The folders to read: train and perhaps val, test."""
    if not (root / "train").is_dir():
        return {"train": root}
    held_out = [part for part in ("val", "test") if (root / part).is_dir()]
    if not held_out:
        raise UserError(f"folder: {root} has train/ but no val/ or test/: add one, or write folder:{root / 'train'}")
    if len(held_out) == 1:
        return {"train": root / "train", "test": root / held_out[0]}
    return {part: root / part for part in ("train", "val", "test")}


def _natural(name: str) -> list[tuple[int, int | str]]:
    """Sorts ``class2`` before ``class10``."""
    return [(0, int(word)) if word.isdecimal() else (1, word) for word in re.split(r"(\d+)", name) if word]


def _list(folder: Path) -> tuple[tuple[str, ...], _Listing]:
    classes = sorted((entry.name for entry in folder.iterdir() if _visible(entry) and entry.is_dir()), key=_natural)
    found = [(label, file) for label, name in enumerate(classes) for file in _images(folder / name)]
    if not found:
        raise UserError(
            f"folder: {folder} holds no images in subfolders: it takes one subfolder a class, with files that end in "
            f"{choices(SUFFIXES)}"
        )
    labels = tuple(label for label, _ in found)
    filled = set(labels)
    empty = [name for label, name in enumerate(classes) if label not in filled]
    if empty:
        raise UserError(f"folder: {folder} has classes without images: {choices(empty)}: add images or remove them")
    files = tuple(file for _, file in found)
    return tuple(classes), _Listing(files, labels, tuple(file.relative_to(folder).as_posix() for file in files))


def _visible(entry: Path) -> bool:
    return not entry.name.startswith(".")


def _images(folder: Path) -> list[Path]:
    return sorted(f for f in folder.rglob("*") if _visible(f) and f.suffix.lower() in SUFFIXES and f.is_file())


def _common_size(files: list[Path]) -> int:
    sizes = set()
    for file in files:
        with _opened(file) as image:
            sizes.add(image.size)
        if len(sizes) > 1:
            return DEFAULT_SIZE
    width, height = sizes.pop()
    return width if width == height <= DEFAULT_SIZE else DEFAULT_SIZE


def _read(part: str, listing: _Listing, side: int, digest: hashlib._Hash) -> npt.NDArray[np.uint8]:
    """(n, 3, side, side); what decides the pixels and their labels enters the digest."""
    images = np.empty((len(listing.files), 3, side, side), dtype=np.uint8)
    for i, (file, name) in enumerate(zip(listing.files, listing.names, strict=True)):
        images[i] = _decode(file, side).transpose(2, 0, 1)
        digest.update(f"\0{part}/{name}\0".encode(errors="surrogateescape"))
        digest.update(images[i].tobytes())
    return images


def _opened(file: Path) -> Image.Image:
    try:
        with warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning):
            return Image.open(file)
    except (*_BROKEN, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(_unreadable(file, error)) from None


def _unreadable(file: Path, error: Exception) -> str:
    return f"folder: {file} cannot be read as an image ({error}): repair or remove it"


def _decode(file: Path, side: int) -> npt.NDArray[np.uint8]:
    """(side, side, 3)."""
    with _opened(file) as image:
        try:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I"):  # 16 bits a pixel: Pillow would clip them to 8
                upright = Image.fromarray((np.asarray(upright).clip(0, 65535) >> 8).astype(np.uint8))
            elif upright.mode == "P":
                upright = upright.convert("RGBA")
            rgb = upright.convert("RGB")
        except _BROKEN as error:
            raise UserError(_unreadable(file, error)) from None
    return np.asarray(rgb if rgb.size == (side, side) else ImageOps.fit(rgb, (side, side), Image.Resampling.BILINEAR))


def _split(
    images: dict[str, npt.NDArray[np.uint8]], listings: dict[str, tuple[tuple[str, ...], _Listing]]
) -> dict[str, Split]:
    """What is missing of validation and test is cut from the training images, a tenth each."""
    labels = {part: np.asarray(listing.labels) for part, (_, listing) in listings.items()}
    tenth = max(1, round(len(labels["train"]) / 10))
    train, val, test = stratified(
        labels["train"].tolist(),
        num_val=0 if "val" in images else tenth,
        num_test=0 if "test" in images else tenth,
        keys=listings["train"][1].names,
    )
    splits = {part: make_split(images[part], labels[part]) for part in images if part != "train"}
    cut = {"train": train, "val": val, "test": test}
    return splits | {
        part: make_split(images["train"], labels["train"], rows) for part, rows in cut.items() if part not in splits
    }
