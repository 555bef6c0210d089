"""What becomes of an image before the model sees it: size, crop and normalisation as its weights were made for.

Published weights come with a mean, a standard deviation and a crop that no tensor shows, and with others they lose
points without a word (FACTS §7). What each family's own evaluation does was read in its code: timm 1.0.31 (ViT, DeiT,
ResNet), torchvision 0.29 (presets), transformers 5.23 (image processors). Images are resized with bilinear
interpolation and antialiasing, where timm's and DeiT's own code is bicubic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import torch
import torch.nn.functional as F  # noqa: N812  # the name everybody gives it
from torch import Tensor

from vitbench.data.dataset import Dataset, Split
from vitbench.errors import UserError
from vitbench.models.weights.checkpoint import Checkpoint
from vitbench.models.weights.rules import Format
from vitbench.train import feed

Normalise: TypeAlias = Literal["data", "imagenet", "half"]
WORDS: tuple[str, ...] = get_args(Normalise)

BRIGHTEST = 255
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

WHOLE_FROM_PX = 384
"""Models of this size and more see the whole square: they were tuned so (timm: crop_pct 1.0)."""


@dataclass(frozen=True)
class Family:
    """How the authors of a kind of checkpoint feed it."""

    normalise: Normalise
    crop: float  # side of the square that is cut from the middle ÷ shorter side of the image
    who: str
    hint: str = ""


OURS = Family("data", 1.0, "vitbench's weights")
JAX = Family("half", 0.9, "Google's weights")
HUGGING_FACE = Family("half", 1.0, "Hugging Face's ViT weights")
HUGGING_FACE_DEIT = Family("imagenet", 0.875, "Hugging Face's DeiT weights")
TORCHVISION = Family("imagenet", 0.875, "torchvision's weights")
DEIT = Family("imagenet", 0.9, "DeiT's weights")
TIMM = Family("half", 0.9, "timm's ViT weights", "; for DeiT's under timm's names say --normalise imagenet")

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
    said: str  # all of this in words

    @property
    def resized(self) -> int:
        """Side of an image before the model's square is cut from its middle."""
        return self.loaded if self.crop is None else resized_side(self.side, self.crop)

    def to(self, device: torch.device | str) -> Images:
        return Images(self.side, self.loaded, self.crop, self.mean.to(device), self.std.to(device), self.said)

    def __call__(self, raw: Tensor) -> Tensor:
        """Float32, (n, channels, model's side, model's side)."""
        images = raw.float()
        if self.resized != images.shape[-1]:
            images = F.interpolate(images, size=(self.resized, self.resized), mode="bilinear", antialias=True)
        if self.resized != self.side:
            start = round((self.resized - self.side) / 2)
            images = images[..., start : start + self.side, start : start + self.side]
        return feed.Normalise(self.mean, self.std)(images)


def resized_side(side: int, crop: float) -> int:
    """The shorter side that leaves ``side`` when this share is cut from the middle (timm rounds down, too)."""
    return math.floor(side / crop)


def crop_of(family: Family, side: int) -> float:
    return 1.0 if side >= WHOLE_FROM_PX else family.crop


def images_for(
    dataset: Dataset, side: int, family: Family, *, normalise: str | None = None, crop: float | None = None
) -> Images:
    """How this data set's images go into a model of ``side`` pixels.

    Args:
        dataset: its test split is what will be fed.
        side: of the model's images.
        family: decides what the others do not.
        normalise: ``data`` (mean and deviation of the training split), ``imagenet``, ``half`` (0.5 and 0.5).
        crop: share of the shorter side that is cut from the middle.

    Raises:
        UserError: the word does not go with these images.
    """
    word = normalise or family.normalise
    loaded = dataset.spec.img_size
    share = crop if crop is not None else None if loaded == side else crop_of(family, side)
    if word == "data":
        mean, std = dataset.mean.float(), dataset.std.float()
    else:
        mean, std = _fixed(word, dataset)
    why = "as asked" if normalise else f"as {family.who} want it{family.hint}"
    numbers = {"data": "mean and deviation of the training split", "imagenet": "ImageNet's mean and deviation"}
    said = f"normalised by {numbers.get(word, 'mean 0.5 and deviation 0.5')} ({why}); "
    middle = side if share is None else resized_side(side, share)
    if middle == side == loaded:
        said += f"images of {side} px as they are"
    elif middle == side:
        said += f"images of {loaded} px resized to {side}"
    else:
        said += f"images resized to {middle} px, {side} cut from the middle"
    return Images(side, loaded, share, mean, std, said)


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
