"""An image file → the pixels a model sees: upright, RGB, a square of one size."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import struct
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from vitbench.utils.errors import UserError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")

MARGIN = 2
"""A JPEG is decoded at a half, a quarter or an eighth of its size if that leaves this many times the pixels needed."""

Interpolation: TypeAlias = Literal["bilinear", "bicubic"]

HEADERS_AT_ONCE = 256
"""That a process reads before it says what it found."""

_BROKEN = (OSError, SyntaxError, ValueError, struct.error)
"""What Pillow raises for a file that is no image, or not all of one."""


@dataclass(frozen=True)
class Resize:
    """torchvision's ``Resize`` and ``CenterCrop``: the shorter side becomes so many pixels, the middle is cut out."""

    shorter: int  # pixels
    interpolation: Interpolation = "bilinear"  # either with antialiasing, as Pillow does it


def decode(file: str, side: int, box: Sequence[float] | None = None) -> npt.NDArray[np.uint8]:
    """(side, side, 3), resized with antialiasing (bilinear).

    Args:
        file: its path.
        side: of the result, in pixels.
        box: (top, left, height, width), the part to cut out, as fractions of a square image. Of another image it is the
            same share of the area, with the same ratio of width to height in pixels, shrunk until it fits, and the
            margins around it are shared out likewise. Without it the largest square in the centre is cut out.

    Raises:
        UserError: the file is no complete image.
    """

    def smaller(image: Image.Image) -> None:
        least = min(_cut(*size, box)[2:] for size in (image.size, image.size[::-1]))
        factor = min(least) / (MARGIN * side)
        if factor >= 2:  # of a JPEG only; other formats ignore it
            image.draft(None, (max(1, int(image.width / factor)), max(1, int(image.height / factor))))

    rgb = _upright(file, smaller)
    top, left, height, width = _cut(rgb.height, rgb.width, box)
    if rgb.size == (side, side) and height == width == side:
        return np.asarray(rgb)
    window = (max(0.0, left), max(0.0, top), min(left + width, rgb.width), min(top + height, rgb.height))
    return np.asarray(rgb.resize((side, side), Image.Resampling.BILINEAR, box=window))


def decode_whole(file: str, side: int, resize: Resize) -> npt.NDArray[np.uint8]:
    """(side, side, 3), pixel for pixel what torchvision's transforms and timm's evaluation make of the upright image.

    Args:
        file: its path; all of it is decoded at its full size.
        side: of the result, in pixels, at most ``resize.shorter``.
        resize: what comes before the middle is cut out.

    Raises:
        UserError: the file is no complete image.
    """
    rgb = _upright(file)
    longer = int(resize.shorter * max(rgb.size) / min(rgb.size))
    size = (resize.shorter, longer) if rgb.width <= rgb.height else (longer, resize.shorter)
    left, top = (round((length - side) / 2) for length in size)
    resized = rgb.resize(size, Image.Resampling[resize.interpolation.upper()])
    return np.asarray(resized.crop((left, top, left + side, top + side)))


def image_size(file: str) -> tuple[int, int]:
    """Width and height as the header says.

    Raises:
        UserError: the file is no image.
    """
    with _quiet(), _opened(file) as image:
        return image.size


def image_sizes(files: Sequence[str], workers: int = 0) -> set[tuple[int, int]]:
    """All that occur, as the headers say, read by so many processes; 0: this one.

    Raises:
        UserError: as ``image_size`` of the first file that is no image, whoever read it.
    """
    if not workers:
        return set(map(image_size, files))
    with warnings.catch_warnings():
        # Python 3.12 on: what it warns of are locks of other threads, and these processes take none of torch's
        warnings.filterwarnings("ignore", r"This process .* is multi-threaded", DeprecationWarning)
        with multiprocessing.get_context("fork").Pool(workers) as readers:
            return set(readers.imap(image_size, files, HEADERS_AT_ONCE))


def _upright(file: str, prepare: Callable[[Image.Image], None] = lambda _image: None) -> Image.Image:
    """The whole image in RGB, as its metadata say it stands; ``prepare`` is done before its pixels are read."""
    with _quiet(), _opened(file) as image:
        try:
            prepare(image)
            return _rgb(ImageOps.exif_transpose(image))
        except (*_BROKEN, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise UserError(_unreadable(file, error)) from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Damaged metadata, of which Pillow warns, damage no pixel; an image too large to be one is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _opened(file: str) -> Image.Image:
    """The image, of which no more than the header has been read.

    Raises:
        UserError: the file is no image, or larger than any image is.
    """
    try:
        return Image.open(file)
    except (*_BROKEN, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(_unreadable(file, error)) from None


def shown(name: str) -> str:
    """A file's name as text that any terminal and file can take: bytes that are no UTF-8 become escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def _unreadable(file: str, error: Exception) -> str:
    why = str(error).replace(repr(os.fspath(file)), "it")
    return f"{shown(file)} cannot be read as an image ({shown(why)}): repair or remove it"


def _cut(height: int, width: int, box: Sequence[float] | None) -> tuple[float, float, float, float]:
    """Top, left, height and width in pixels, within the image."""
    if box is None:
        box = (0.0, 0.0, 1.0, 1.0)
    top, left, share_down, share_across = (float(v) for v in box)
    scale = math.sqrt(height * width)
    fit = min(1.0, height / (share_down * scale), width / (share_across * scale))
    cut_height, cut_width = fit * share_down * scale, fit * share_across * scale
    return (
        _part(top, share_down) * (height - cut_height),
        _part(left, share_across) * (width - cut_width),
        cut_height,
        cut_width,
    )


def _part(offset: float, share: float) -> float:
    """Of the margin, the part that lies before the cut; all the same where there is none."""
    return 0.5 if share >= 1 else min(1.0, max(0.0, offset / (1 - share)))


def _rgb(upright: Image.Image) -> Image.Image:
    if upright.mode.startswith("I"):  # 16 bits a pixel: Pillow would clip them to 8
        upright = Image.fromarray((np.asarray(upright).clip(0, 65535) >> 8).astype(np.uint8))
    elif upright.mode == "P":
        upright = upright.convert("RGBA")
    return upright.convert("RGB")
