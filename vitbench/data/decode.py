"""Decoding of image files into square RGB arrays, upright and at one size."""

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
"""A JPEG is decoded at 1/2, 1/4 or 1/8 of its size if each side keeps at least this many times the pixels needed."""

Interpolation: TypeAlias = Literal["bilinear", "bicubic"]

HEADERS_AT_ONCE = 256
"""Number of files that a worker reads per task."""

_BROKEN = (OSError, SyntaxError, ValueError, struct.error)
"""Exceptions that Pillow raises for a file that is not a complete image."""


@dataclass(frozen=True)
class Resize:
    """Settings of torchvision's ``Resize``, applied before ``CenterCrop``."""

    shorter: int  # length of the shorter side after resizing, in pixels
    interpolation: Interpolation = "bilinear"  # with antialiasing, as in Pillow


def decode(file: str, side: int, box: Sequence[float] | None = None) -> npt.NDArray[np.uint8]:
    """A crop of the image, (side, side, 3), resized bilinearly with antialiasing.

    Args:
        file: the path of the image.
        side: side of the result, in pixels.
        box: (top, left, height, width) of the crop, as fractions of a square image. In a non-square image the crop
            keeps its share of the area and its aspect ratio in pixels, shrunk until it fits; its margins keep their
            proportions. None: the largest centred square.

    Raises:
        UserError: the file is not a complete image.
    """

    def smaller(image: Image.Image) -> None:
        least = min(_cut(*size, box)[2:] for size in (image.size, image.size[::-1]))
        factor = min(least) / (MARGIN * side)
        if factor >= 2:  # only JPEG supports it; other formats ignore it
            image.draft(None, (max(1, int(image.width / factor)), max(1, int(image.height / factor))))

    rgb = _upright(file, smaller)
    top, left, height, width = _cut(rgb.height, rgb.width, box)
    if rgb.size == (side, side) and height == width == side:
        return np.asarray(rgb)
    window = (max(0.0, left), max(0.0, top), min(left + width, rgb.width), min(top + height, rgb.height))
    return np.asarray(rgb.resize((side, side), Image.Resampling.BILINEAR, box=window))


def decode_whole(file: str, side: int, resize: Resize) -> npt.NDArray[np.uint8]:
    """The resized and centre-cropped image, (side, side, 3), pixel-identical to torchvision's and timm's evaluation.

    Args:
        file: the path of the image, which is decoded at its full size.
        side: side of the result, in pixels, at most ``resize.shorter``.
        resize: how the image is resized before the centre crop.

    Raises:
        UserError: the file is not a complete image.
    """
    rgb = _upright(file)
    longer = int(resize.shorter * max(rgb.size) / min(rgb.size))
    size = (resize.shorter, longer) if rgb.width <= rgb.height else (longer, resize.shorter)
    left, top = (round((length - side) / 2) for length in size)
    resized = rgb.resize(size, Image.Resampling[resize.interpolation.upper()])
    return np.asarray(resized.crop((left, top, left + side, top + side)))


def image_size(file: str) -> tuple[int, int]:
    """Width and height in pixels, from the header.

    Raises:
        UserError: the file is not an image.
    """
    with _quiet(), _opened(file) as image:
        return image.size


def image_sizes(files: Sequence[str], workers: int = 0) -> set[tuple[int, int]]:
    """The distinct sizes (width, height) of the files, read from their headers.

    Args:
        files: paths of images.
        workers: number of processes that read; 0: this process.

    Raises:
        UserError: a file is not an image; the message names the first such file.
    """
    if not workers:
        return set(map(image_size, files))
    with warnings.catch_warnings():
        # Python >= 3.12 warns that a fork copies locks of other threads; these processes use none of torch's
        warnings.filterwarnings("ignore", r"This process .* is multi-threaded", DeprecationWarning)
        with multiprocessing.get_context("fork").Pool(workers) as readers:
            return set(readers.imap(image_size, files, HEADERS_AT_ONCE))


def _upright(file: str, prepare: Callable[[Image.Image], None] = lambda _image: None) -> Image.Image:
    """The whole image in RGB, rotated as its metadata say; ``prepare`` is called before the pixels are read."""
    with _quiet(), _opened(file) as image:
        try:
            prepare(image)
            return _rgb(ImageOps.exif_transpose(image))
        except (*_BROKEN, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise UserError(_unreadable(file, error)) from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences warnings about damaged metadata, which leave the pixels intact; makes a decompression bomb an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _opened(file: str) -> Image.Image:
    """The image, with only its header read.

    Raises:
        UserError: the file is not an image, or a decompression bomb.
    """
    try:
        return Image.open(file)
    except (*_BROKEN, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(_unreadable(file, error)) from None


def shown(name: str) -> str:
    """The file name as valid UTF-8, with undecodable bytes escaped."""
    return name.encode("utf-8", "backslashreplace").decode()


def _unreadable(file: str, error: Exception) -> str:
    why = str(error).replace(repr(os.fspath(file)), "it")
    return f"{shown(file)} cannot be read as an image ({shown(why)}): repair or remove it"


def _cut(height: int, width: int, box: Sequence[float] | None) -> tuple[float, float, float, float]:
    """Top, left, height and width of the crop in pixels, within the image."""
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
    """The fraction of the margin that lies before the crop; 0.5 if the crop leaves no margin."""
    return 0.5 if share >= 1 else min(1.0, max(0.0, offset / (1 - share)))


def _rgb(upright: Image.Image) -> Image.Image:
    if upright.mode.startswith("I"):  # 16 bits per pixel, which Pillow would clip to 8
        upright = Image.fromarray((np.asarray(upright).clip(0, 65535) >> 8).astype(np.uint8))
    elif upright.mode == "P":
        upright = upright.convert("RGBA")
    return upright.convert("RGB")
