"""What becomes of an image before the model sees it: size, crop and normalisation as its weights were made for.

Published weights come with a mean, a standard deviation and a crop that no tensor shows, and with others they lose
points without a word. What each family's own evaluation does was read in its code: timm 1.0.31 (ViT, DeiT,
ResNet), torchvision 0.29 (presets), transformers 5.23 (image processors). All of them resize with antialiasing; files
go through Pillow as theirs do (``vitbench.data.decode.decode_whole``), pixel for pixel.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import torch
import torch.nn.functional as F  # noqa: N812  # the name everybody gives it
from torch import Tensor

from vitbench.data.dataset import Dataset, Split
from vitbench.data.decode import Interpolation, Resize
from vitbench.models.weights.checkpoint import Checkpoint
from vitbench.models.weights.rules import Format
from vitbench.train import feed
from vitbench.utils.errors import UserError

Normalise: TypeAlias = Literal["data", "imagenet", "half"]
WORDS: tuple[str, ...] = get_args(Normalise)
INTERPOLATIONS: tuple[str, ...] = get_args(Interpolation)

BRIGHTEST = 255
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

FILES = ("folder:", "imagenet:")
"""Data sets of files in all sizes, which are decoded at the size that is asked for."""

WHOLE_FROM_PX = 384
"""Models of this size and more see the whole square: they were tuned so (timm: crop_pct 1.0)."""


@dataclass(frozen=True)
class Family:
    """How the authors of a kind of checkpoint feed it."""

    normalise: Normalise
    crop: float  # side of the square that is cut from the middle ÷ shorter side of the image
    interpolation: Interpolation
    who: str
    hint: str = ""


OURS = Family("data", 1.0, "bilinear", "vitbench's weights")
# as timm evaluates Google's files; Google's own code took the whole square, bilinear
JAX = Family("half", 0.9, "bicubic", "Google's weights")
HUGGING_FACE = Family("half", 1.0, "bilinear", "Hugging Face's ViT weights")
HUGGING_FACE_DEIT = Family("imagenet", 0.875, "bicubic", "Hugging Face's DeiT weights")
TORCHVISION = Family("imagenet", 0.875, "bilinear", "torchvision's weights")
DEIT = Family("imagenet", 0.9, "bicubic", "DeiT's weights")
TIMM = Family("half", 0.9, "bicubic", "timm's ViT weights", "; for DeiT's under timm's names say --normalise imagenet")

_FAMILIES = {
    "vitbench": OURS,
    "Google JAX": JAX,
    "Hugging Face": HUGGING_FACE,
    "torchvision ViT": TORCHVISION,
    "torchvision or timm ResNet": TORCHVISION,
    "DeiT": DEIT,
    "timm": TIMM,
}
_DISTILLED = {"Hugging Face": HUGGING_FACE_DEIT, "timm": DEIT}
"""Families whose distilled models are DeiT's."""


def family_of(checkpoint: Checkpoint, form: Format) -> Family:
    """Whose way of feeding a model it takes."""
    names = checkpoint.tensors
    deit = any(name.endswith(("dist_token", "distillation_token")) or name.startswith("deit.") for name in names)
    return _DISTILLED.get(form.name, _FAMILIES[form.name]) if deit else _FAMILIES[form.name]


@dataclass(frozen=True)
class Images:
    """Raw images (n, channels, side, side) → what the model takes."""

    side: int  # the model's
    loaded: int  # the data's
    crop: float | None  # None: images of the model's size stay as they are
    mean: Tensor  # (channels,), in raw units
    std: Tensor
    interpolation: Interpolation | None  # that resized them, before or in here; None: nothing did
    said: str  # all of this in words

    @property
    def resized(self) -> int:
        """Side of an image before the model's square is cut from its middle."""
        return self.loaded if self.crop is None else resized_side(self.side, self.crop)

    def to(self, device: torch.device | str) -> Images:
        return dataclasses.replace(self, mean=self.mean.to(device), std=self.std.to(device))

    def __call__(self, raw: Tensor) -> Tensor:
        """Float32, (n, channels, model's side, model's side)."""
        images = raw.float()
        if self.resized != images.shape[-1] and self.interpolation is not None:
            for size in ((images.shape[-2], self.resized), (self.resized, self.resized)):  # Pillow: across, then down
                images = F.interpolate(images, size=size, mode=self.interpolation, antialias=True)
                if raw.dtype == torch.uint8:  # and bytes after each; bicubic goes beyond them
                    images = (images + 0.5).floor().clamp(0, BRIGHTEST)  # half up, as there
        if self.resized != self.side:
            start = round((self.resized - self.side) / 2)
            images = images[..., start : start + self.side, start : start + self.side]
        return feed.Normalise(self.mean, self.std)(images)


def resized_side(side: int, crop: float) -> int:
    """The shorter side that leaves ``side`` when this share is cut from the middle (timm rounds down, too)."""
    return math.floor(side / crop)


def crop_of(family: Family, side: int) -> float:
    return 1.0 if side >= WHOLE_FROM_PX else family.crop


def resize_of(
    family: Family, side: int, *, crop: float | None = None, interpolation: Interpolation | None = None
) -> Resize | None:
    """How files of any size become images of ``side``; None: as vitbench's training makes them."""
    if family is OURS and crop is None and interpolation is None:
        return None
    share = crop_of(family, side) if crop is None else crop
    return Resize(resized_side(side, share), interpolation or family.interpolation)


def images_for(
    dataset: Dataset,
    side: int,
    family: Family,
    *,
    normalise: str | None = None,
    crop: float | None = None,
    interpolation: Interpolation | None = None,
    decoded: Resize | None = None,
) -> Images:
    """How this data set's images go into a model of ``side`` pixels.

    Args:
        dataset: its test split is what will be fed.
        side: of the model's images.
        family: decides what the others do not.
        normalise: ``data`` (mean and deviation of the training split), ``imagenet``, ``half`` (0.5 and 0.5).
        crop: share of the shorter side that is cut from the middle.
        interpolation: what resizes.
        decoded: how the files were resized and cut already: the images have ``side`` pixels.

    Raises:
        UserError: the word does not go with these images.
    """
    word = normalise or family.normalise
    loaded = dataset.spec.img_size
    share: float | None = crop if crop is not None else crop_of(family, side)
    if decoded is not None or (crop is None and loaded == side):
        share = None
    mode: Interpolation | None = interpolation or family.interpolation
    if word == "data":
        mean, std = dataset.mean.float(), dataset.std.float()
    else:
        mean, std = _fixed(word, dataset)
    why = "as asked" if normalise else f"as {family.who} want it{family.hint}"
    numbers = {"data": "mean and deviation of the training split", "imagenet": "ImageNet's mean and deviation"}
    said = f"normalised by {numbers.get(word, 'mean 0.5 and deviation 0.5')} ({why}); "
    middle = decoded.shorter if decoded is not None else side if share is None else resized_side(side, share)
    how = f"{mode} interpolation ({'as asked' if interpolation else f'as {family.who} want it'})"
    if decoded is not None:
        cut = f", {side} cut from the middle" * (middle != side)
        said += f"images resized to {middle} px{cut}, {how}"
    elif middle == side == loaded:
        said += f"images of {side} px as they are"
        mode = None
        if dataset.spec.name.startswith(FILES):
            said += "; files of other sizes as training takes them, bilinear interpolation"
            mode = "bilinear"
    elif middle == side:
        said += f"images of {loaded} px resized to {side}, {how}"
    else:
        said += f"images resized to {middle} px, {side} cut from the middle, {how}"
    if word == "data" and dataset.spec.name.startswith(FILES):
        said += "; training images were decoded too, for their mean and deviation"
    return Images(side, loaded, share, mean, std, mode, said)


def _fixed(word: str, dataset: Dataset) -> tuple[Tensor, Tensor]:
    channels, split = dataset.spec.in_chans, dataset.test
    if isinstance(split, Split) and (split.images.dtype != torch.uint8 or int(split.images.max()) <= BRIGHTEST // 2):
        raise UserError(
            f"normalise={word} is for images of 0 to {BRIGHTEST}, which {dataset.spec.name} has not: "
            "type --normalise data"
        )
    if word == "half":
        return torch.full((channels,), BRIGHTEST / 2), torch.full((channels,), BRIGHTEST / 2)
    if channels != len(IMAGENET_MEAN):
        raise UserError(
            f"normalise=imagenet is for {len(IMAGENET_MEAN)} channels, {dataset.spec.name} has {channels}: "
            "type --normalise data, or half"
        )
    return torch.tensor(IMAGENET_MEAN) * BRIGHTEST, torch.tensor(IMAGENET_STD) * BRIGHTEST
