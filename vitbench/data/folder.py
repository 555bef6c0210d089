"""Image folders with one subfolder per class: ``folder:PATH[@SIZE]`` and ``imagenet:PATH[@SIZE]``.

    PATH/cat/1.jpg  PATH/dog/7.png …                 split here: a tenth for validation, a tenth for test
    PATH/train/cat/1.jpg …  PATH/val/cat/9.jpg …     val/ is the test split; a tenth of train/ becomes validation
    PATH/train/…  PATH/val/…  PATH/test/…            used as given

The test images are never used for selection. Splits depend on the file names alone. Images become RGB; the shorter side
is resized to SIZE and the centre is cropped. Without SIZE, images are unchanged if all are squares of one size up to
64 pixels, else SIZE is 64.

A ``folder`` of up to 1 GiB of decoded images is kept in memory; a larger one is streamed from disk. ``imagenet`` takes
the second layout and is always streamed; its default SIZE is 224, and validation takes at most 10,000 images.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
import torch
from torch import Tensor

from vitbench.data.cache import Arrays, cached
from vitbench.data.dataset import Dataset, Split, channel_statistics, make_spec, sample_statistics
from vitbench.data.decode import Resize, image_sizes, shown
from vitbench.data.files import Files, Listing, cache_key, list_classes, version_of
from vitbench.data.spec import DataSpec
from vitbench.data.split import MIN_TRAIN_IMAGES, stratified
from vitbench.data.stream import Stream
from vitbench.declare.sizes import scaled
from vitbench.utils.errors import UserError, choices
from vitbench.utils.threads import cores

FORMAT = 2
"""Increased whenever the same files would give different pixels or splits."""

DEFAULT_SIZE = 64
IMAGENET_SIZE = 224
LARGEST_SIZE = 1024
IN_MEMORY = 2**30
"""Bytes of decoded images over all splits, above which a folder is streamed."""

MOST_VAL = 10_000
"""Maximum number of validation images of ImageNet: ten per class."""

HEADERS = 20_000
"""Maximum number of headers read in advance; of more files, an evenly spaced sample."""

CACHED_FROM = 4 * 2**20
"""Total file size in bytes from which decoded arrays are cached (``vitbench.data.cache``)."""

DECODERS = 4
"""Maximum number of processes that read headers and decode images into memory."""


@dataclass(frozen=True)
class _Found:
    """A folder before any image is decoded."""

    spec: DataSpec
    streams: dict[str, Stream]  # train, val, test
    key: str  # of the cache
    large: bool  # whether decoded arrays are cached
    in_memory: bool


def describe(kind: str, path: str) -> DataSpec:
    """The spec of a folder, from file names, headers and, up to 2 GiB, content; no image is decoded.

    Raises:
        UserError: as in ``load``, except for images that are damaged after the header.
    """
    return _find(kind, path).spec


def load(kind: str, path: str, *, scale: float = 1.0) -> Dataset:
    """The three splits: decoded into memory, or streamed.

    Args:
        kind: ``folder`` or ``imagenet``.
        path: the folder, with ``@SIZE`` or without.
        scale: factor on the side of the images; they are decoded at the scaled size.

    Raises:
        UserError: the folder does not exist, has no images, an empty class, a single class, different classes in train/
            and val/, or a file that is not a complete image; the message names it.
    """
    found = _find(kind, path, scale)
    workers = _workers() if found.large else 0

    def statistics() -> Arrays:
        mean, std = sample_statistics(found.streams["train"], workers=workers)
        return {"mean": mean.numpy(), "std": std.numpy()}

    def images() -> Arrays:
        every = {
            part: stream.take(torch.arange(len(stream)), workers=workers) for part, stream in found.streams.items()
        }
        return {part: image.numpy() for part, image in every.items()}

    if found.in_memory:
        kept = _tensors(_kept(f"{found.key}-images", found.large, images))
        splits = {part: Split(kept[part], stream.labels) for part, stream in found.streams.items()}
        mean, std = channel_statistics(kept["train"])
        return Dataset(found.spec, splits["train"], splits["val"], splits["test"], mean, std)
    kept = _tensors(_kept(f"{found.key}-statistics", found.large, statistics))
    streams = found.streams
    return Dataset(found.spec, streams["train"], streams["val"], streams["test"], kept["mean"], kept["std"])


def load_undecoded(kind: str, path: str, resize: Resize | None = None) -> Dataset:
    """The splits of ``load``, all streamed. No image is decoded here, so mean and deviation are NaN.

    Args:
        kind: ``folder`` or ``imagenet``.
        path: the folder, with ``@SIZE`` or without.
        resize: how each image is resized before the centre crop; None: as in training.

    Raises:
        UserError: as in ``describe``.
    """
    found = _find(kind, path)
    train, val, test = (dataclasses.replace(found.streams[part], resize=resize) for part in ("train", "val", "test"))
    unknown = torch.full((found.spec.in_chans,), float("nan"))
    return Dataset(found.spec, train, val, test, unknown, unknown)


def _find(kind: str, path: str, scale: float = 1.0) -> _Found:
    root, size = _parse(kind, path)
    if not root.is_dir():
        layout = "train and val, each with" if kind == "imagenet" else "with"
        raise UserError(
            f"{kind}: there is no folder {shown(str(root))}: give the path of a folder {layout} one subfolder per class"
        )
    parts = _parts(kind, root)
    listings = {part: list_classes(folder) for part, folder in parts.items()}
    classes = listings["train"].classes
    for part, listing in listings.items():
        if listing.classes != classes:
            unmatched = sorted(set(listing.classes) ^ set(classes))
            raise UserError(f"{kind}: {parts['train']} and {parts[part]} have different classes: {choices(unmatched)}")
    if len(classes) < 2:
        raise UserError(
            f"{kind}: {parts['train']} has one class, {classes[0]!r}: give at least two subfolders with images"
        )
    count = len(listings["train"])
    if count < MIN_TRAIN_IMAGES:
        raise UserError(f"{kind}: {parts['train']} has {count} images: give at least {MIN_TRAIN_IMAGES}")

    def index() -> Arrays:
        paths = [path for listing in listings.values() for path in listing.paths]
        side = _side(kind, size, paths, _workers() if large else 0)
        return {"side": np.array([side]), "version": np.array([version_of(listings, kind, side)])}

    key = cache_key(listings, FORMAT, PIL.__version__, kind, size)
    large = sum(int(listing.sizes.sum()) for listing in listings.values()) >= CACHED_FROM
    known = _kept(f"{key}-index", large, index)
    side = scaled(int(known["side"][0]), scale)
    suffix = "" if scale == 1 else f"@{side}"
    streams = _split(kind, listings, side)
    return _Found(
        spec=make_spec(
            name=f"{kind}:{path}",
            version=f"{FORMAT}-{known['version'][0]}{suffix}",
            classes=classes,
            img_size=side,
            in_chans=3,
            labels={part: stream.labels for part, stream in streams.items()},
            shift=True,
            flip=True,
        ),
        streams=streams,
        key=f"{key}{suffix}",
        large=large,
        in_memory=kind == "folder" and sum(map(len, streams.values())) * 3 * side**2 <= IN_MEMORY,
    )


def _kept(key: str, large: bool, make: Callable[[], Arrays]) -> Arrays:
    return cached(key, make) if large else make()


def _tensors(arrays: Arrays) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _parse(kind: str, path: str) -> tuple[Path, int | None]:
    """``"images@32"`` → ``(images, 32)``, unless a folder of exactly that name exists."""
    match = re.fullmatch(r"(.+)@(\d+)", path)
    if match is None or Path(path).expanduser().is_dir():
        return Path(path).expanduser(), None
    if not 1 <= int(match[2]) <= LARGEST_SIZE:
        raise UserError(f"{kind}: size {match[2]} in {path!r} is not possible: give 1 to {LARGEST_SIZE}")
    return Path(match[1]).expanduser(), int(match[2])


def _parts(kind: str, root: Path) -> dict[str, Path]:
    """The folders of the given splits; only train is required."""
    if kind == "imagenet":
        missing = [part for part in ("train", "val") if not (root / part).is_dir()]
        if missing:
            raise UserError(
                f"imagenet: {root} lacks {choices(missing)}: give a folder with train and val, "
                "each with one subfolder per class"
            )
        return {"train": root / "train", "test": root / "val"}
    if not (root / "train").is_dir():
        return {"train": root}
    held_out = [part for part in ("val", "test") if (root / part).is_dir()]
    if not held_out:
        raise UserError(f"folder: {root} has train/ but no val/ or test/: add one, or write folder:{root / 'train'}")
    if len(held_out) == 1:
        return {"train": root / "train", "test": root / held_out[0]}
    return {part: root / part for part in ("train", "val", "test")}


def _workers() -> int:
    return min(DECODERS, cores())


def _side(kind: str, size: int | None, paths: list[str], workers: int) -> int:
    """The side of the decoded images. Reads the headers in any case, so that a file that is not an image ends here."""
    count = min(len(paths), HEADERS)
    found = image_sizes([paths[i * len(paths) // count] for i in range(count)], workers)
    if size is not None:
        return size
    if kind == "imagenet":
        return IMAGENET_SIZE
    width, height = found.pop()
    return width if not found and width == height <= DEFAULT_SIZE else DEFAULT_SIZE


def _split(kind: str, listings: dict[str, Listing], side: int) -> dict[str, Stream]:
    """All three splits; a missing validation or test split takes a tenth of the training images."""
    whole = {
        part: Stream(Files.of(listing.paths), torch.from_numpy(listing.labels), side)
        for part, listing in listings.items()
    }
    tenth = max(1, round(len(whole["train"]) / 10))
    train, val, test = stratified(
        listings["train"].labels.tolist(),
        num_val=0 if "val" in whole else min(tenth, MOST_VAL) if kind == "imagenet" else tenth,
        num_test=0 if "test" in whole else tenth,
        keys=listings["train"].names,
    )
    rows = {"train": train, "val": val, "test": test}
    return {
        part: whole["train"].subset(torch.tensor(rows[part])) if part == "train" or part not in whole else whole[part]
        for part in rows
    }
