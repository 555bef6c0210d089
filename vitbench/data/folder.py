"""The user's own images, one subfolder a class: ``folder:PATH[@SIZE]`` and ``imagenet:PATH[@SIZE]``.

    PATH/cat/1.jpg  PATH/dog/7.png …                 split here: a tenth for validation, a tenth for test
    PATH/train/cat/1.jpg …  PATH/val/cat/9.jpg …     val/ is the test split; a tenth of train/ becomes validation
    PATH/train/…  PATH/val/…  PATH/test/…            as they are

So nothing is ever selected on the images that the accuracy is reported for. A split follows from the file names alone.
Images become RGB; their shorter side is resized to SIZE and the centre cut out. Without SIZE they are kept as they are
where all are squares of one size up to 64 pixels, else SIZE is 64.

A ``folder`` that takes up to 1 GiB once decoded is kept in memory, a larger one is streamed from disk. ``imagenet``
takes the second layout and is always streamed: SIZE is 224 unless given, val/ is the test split, and of train/ a tenth,
at most 10,000 images, becomes validation.
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
from vitbench.data.files import Files, Listing, list_classes, stamp, version_of
from vitbench.data.spec import DataSpec
from vitbench.data.split import stratified
from vitbench.data.stream import Stream
from vitbench.declare.sizes import scaled
from vitbench.utils.errors import UserError, choices
from vitbench.utils.threads import cores

FORMAT = 2
"""Raised whenever the same files would give other pixels or another split."""

DEFAULT_SIZE = 64
IMAGENET_SIZE = 224
LARGEST_SIZE = 1024
FEWEST = 10
"""Images that a split into three needs at least."""

IN_MEMORY = 2**30
"""Bytes of decoded images, all splits together, up to which a folder is not streamed."""

MOST_VAL = 10_000
"""Images that validation takes of ImageNet's training folder at most: ten a class."""

HEADERS = 20_000
"""Files whose headers are read in advance: of more, so many evenly spaced."""

CACHED_FROM = 4 * 2**20
"""Bytes of files from which it pays to keep what was decoded (``vitbench.data.cache``)."""

DECODERS = 4
"""Processes that read headers and decode at most, where images go to memory."""


@dataclass(frozen=True)
class _Found:
    """What is known before an image is decoded."""

    spec: DataSpec
    streams: dict[str, Stream]  # train, val, test
    key: str  # under which the cache keeps what is decoded
    large: bool  # so that the cache pays
    in_memory: bool


def describe(kind: str, path: str) -> DataSpec:
    """Lists the files, reads their headers and, up to 2 GiB, their bytes; decodes nothing.

    Raises:
        UserError: as ``load``, but for images whose headers are whole.
    """
    return _find(kind, path).spec


def load(kind: str, path: str, *, scale: float = 1.0) -> Dataset:
    """``kind`` is folder or imagenet. Images in memory are decoded here, streamed ones when they are asked for.

    ``scale`` is of the side that they would have otherwise; they are decoded at what comes of it.

    Raises:
        UserError: no such folder, no images, an empty class, a single class, classes that differ between train/ and
            val/, or a file that is no complete image (named).
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
    """The same splits, all streamed, for whoever wants one of them alone; not an image has been decoded.

    With ``resize`` every image comes that way. Mean and deviation would take the training images and are NaN.

    Raises:
        UserError: as ``describe``.
    """
    found = _find(kind, path)
    train, val, test = (dataclasses.replace(found.streams[part], resize=resize) for part in ("train", "val", "test"))
    unknown = torch.full((found.spec.in_chans,), float("nan"))
    return Dataset(found.spec, train, val, test, unknown, unknown)


def _find(kind: str, path: str, scale: float = 1.0) -> _Found:
    root, size = _parse(kind, path)
    if not root.is_dir():
        takes = "train and val, each with" if kind == "imagenet" else "with"
        raise UserError(
            f"{kind}: there is no folder {shown(str(root))}: give the path of a folder {takes} one subfolder a class"
        )
    parts = _parts(kind, root)
    listings = {part: list_classes(folder) for part, folder in parts.items()}
    classes = listings["train"].classes
    for part, listing in listings.items():
        if listing.classes != classes:
            odd = sorted(set(listing.classes) ^ set(classes))
            raise UserError(f"{kind}: {parts['train']} and {parts[part]} have different classes: {choices(odd)}")
    if len(classes) < 2:
        raise UserError(
            f"{kind}: {parts['train']} holds one class, {classes[0]!r}: it takes two or more subfolders with images"
        )
    count = len(listings["train"])
    if count < FEWEST:
        raise UserError(f"{kind}: {parts['train']} holds {count} images: a split takes {FEWEST} or more")

    def index() -> Arrays:
        paths = [path for listing in listings.values() for path in listing.paths]
        side = _side(kind, size, paths, _workers() if large else 0)
        return {"side": np.array([side]), "version": np.array([version_of(listings, kind, side)])}

    key = stamp(listings, FORMAT, PIL.__version__, kind, size)
    large = sum(int(listing.sizes.sum()) for listing in listings.values()) >= CACHED_FROM
    known = _kept(f"{key}-index", large, index)
    side = scaled(int(known["side"][0]), scale)
    at = "" if scale == 1 else f"@{side}"
    streams = _split(kind, listings, side)
    return _Found(
        spec=make_spec(
            name=f"{kind}:{path}",
            version=f"{FORMAT}-{known['version'][0]}{at}",
            classes=classes,
            img_size=side,
            in_chans=3,
            labels={part: stream.labels for part, stream in streams.items()},
            shift=True,
            flip=True,
        ),
        streams=streams,
        key=f"{key}{at}",
        large=large,
        in_memory=kind == "folder" and sum(map(len, streams.values())) * 3 * side**2 <= IN_MEMORY,
    )


def _kept(key: str, large: bool, make: Callable[[], Arrays]) -> Arrays:
    return cached(key, make) if large else make()


def _tensors(arrays: Arrays) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _parse(kind: str, path: str) -> tuple[Path, int | None]:
    """``"images@32"`` → ``(images, 32)``, unless a folder of that very name exists."""
    match = re.fullmatch(r"(.+)@(\d+)", path)
    if match is None or Path(path).expanduser().is_dir():
        return Path(path).expanduser(), None
    if not 1 <= int(match[2]) <= LARGEST_SIZE:
        raise UserError(f"{kind}: size {match[2]} in {path!r} is not possible: it takes 1 to {LARGEST_SIZE}")
    return Path(match[1]).expanduser(), int(match[2])


def _parts(kind: str, root: Path) -> dict[str, Path]:
    """The folders to read: train and perhaps val, test."""
    if kind == "imagenet":
        missing = [part for part in ("train", "val") if not (root / part).is_dir()]
        if missing:
            raise UserError(
                f"imagenet: {root} lacks {choices(missing)}: it takes train and val, one subfolder a class each"
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
    """Of the images to be; reads the headers on the way, whether it needs them or not."""
    count = min(len(paths), HEADERS)
    found = image_sizes([paths[i * len(paths) // count] for i in range(count)], workers)
    if size is not None:
        return size
    if kind == "imagenet":
        return IMAGENET_SIZE
    width, height = found.pop()
    return width if not found and width == height <= DEFAULT_SIZE else DEFAULT_SIZE


def _split(kind: str, listings: dict[str, Listing], side: int) -> dict[str, Stream]:
    """What is missing of validation and test is cut from the training images, a tenth each."""
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
    cut = {"train": train, "val": val, "test": test}
    return {
        part: whole["train"].subset(torch.tensor(rows)) if part == "train" or part not in whole else whole[part]
        for part, rows in cut.items()
    }
