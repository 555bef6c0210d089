"""Preprocessing of images for published weights: resizing, centre crop and normalisation.

Weights do not store the mean, standard deviation and crop they were made for; with wrong ones they silently lose
accuracy. Each family's preprocessing follows its own code: timm 1.0.31 (ViT, DeiT, ResNet), torchvision 0.29 (presets),
transformers 5.23 (image processors). All resize with antialiasing. Files go through Pillow, as in those libraries, with
identical pixels (``vitbench.data.decode.decode_whole``).
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import torch
import torch.nn.functional as F  # noqa: N812  # the customary name
from torch import Tensor

from vitbench.data.dataset import Dataset, Split
from vitbench.data.decode import Interpolation, Resize
from vitbench.models.weights.checkpoint import Checkpoint
from vitbench.models.weights.rules import Format
from vitbench.train import batch_loader
from vitbench.utils.errors import UserError

Normalise: TypeAlias = Literal["data", "imagenet", "half"]
NORMALISATIONS: tuple[str, ...] = get_args(Normalise)
INTERPOLATIONS: tuple[str, ...] = get_args(Interpolation)

BRIGHTEST = 255
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

FILES = ("folder:", "imagenet:")
"""Prefixes of data sets of image files, which are decoded at the required size."""

UNCROPPED_FROM_PX = 384
"""Models of at least this size were fine-tuned on the whole square, without a centre crop (timm: crop_pct 1.0)."""


@dataclass(frozen=True)
class Family:
    """The preprocessing that the authors of a kind of checkpoint use."""

    normalise: Normalise
    crop: float  # side of the centre crop ÷ shorter side of the image
    interpolation: Interpolation
    weights: str  # in words
    hint: str = ""


OURS = Family("data", 1.0, "bilinear", "vitbench's weights")
# as in timm's evaluation of Google's files; Google's own code uses the whole square and bilinear interpolation
JAX = Family("half", 0.9, "bicubic", "Google's weights")
HUGGING_FACE = Family("half", 1.0, "bilinear", "Hugging Face's ViT weights")
HUGGING_FACE_DEIT = Family("imagenet", 0.875, "bicubic", "Hugging Face's DeiT weights")
TORCHVISION = Family("imagenet", 0.875, "bilinear", "torchvision's weights")
DEIT = Family("imagenet", 0.9, "bicubic", "DeiT's weights")
TIMM = Family(
    "half", 0.9, "bicubic", "timm's ViT weights", "; for DeiT weights under timm's names give --normalise imagenet"
)

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
"""Preprocessing of distilled models, which are DeiT's."""


def family_of(checkpoint: Checkpoint, form: Format) -> Family:
    """The preprocessing family of a checkpoint, from its format and tensor names."""
    names = checkpoint.tensors
    deit = any(name.endswith(("dist_token", "distillation_token")) or name.startswith("deit.") for name in names)
    return _DISTILLED.get(form.name, _FAMILIES[form.name]) if deit else _FAMILIES[form.name]


@dataclass(frozen=True)
class Images:
    """A callable that turns raw images (n, channels, side, side) into the input of a model."""

    side: int  # of the model's input, in pixels
    loaded: int  # side of the raw images
    crop: float | None  # None: no resizing for a centre crop
    mean: Tensor  # (channels,), in raw units
    std: Tensor
    interpolation: Interpolation | None  # of the resizing, in the decoder or here; None: not resized
    description: str  # all of this in words

    @property
    def resized(self) -> int:
        """Side of the images before the centre crop."""
        return self.loaded if self.crop is None else resized_side(self.side, self.crop)

    def to(self, device: torch.device | str) -> Images:
        return dataclasses.replace(self, mean=self.mean.to(device), std=self.std.to(device))

    def __call__(self, raw: Tensor) -> Tensor:
        """The input of the model, float32, (n, channels, side, side)."""
        images = raw.float()
        if self.resized != images.shape[-1] and self.interpolation is not None:
            for size in (
                (images.shape[-2], self.resized),
                (self.resized, self.resized),
            ):  # horizontally first
                images = F.interpolate(images, size=size, mode=self.interpolation, antialias=True)
                if raw.dtype == torch.uint8:  # Pillow rounds half up to bytes after each pass; bicubic overshoots
                    images = (images + 0.5).floor().clamp(0, BRIGHTEST)
        if self.resized != self.side:
            start = round((self.resized - self.side) / 2)
            images = images[..., start : start + self.side, start : start + self.side]
        return batch_loader.Normalise(self.mean, self.std)(images)


def resized_side(side: int, crop: float) -> int:
    """The shorter side after resizing, of which a centre crop of ``side`` is the share ``crop``; rounded as in timm."""
    return math.floor(side / crop)


def crop_of(family: Family, side: int) -> float:
    return 1.0 if side >= UNCROPPED_FROM_PX else family.crop


def resize_of(
    family: Family, side: int, *, crop: float | None = None, interpolation: Interpolation | None = None
) -> Resize | None:
    """How image files are resized before a centre crop of ``side``; None: as in vitbench's training."""
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
    """The preprocessing of a data set's test images for a model of ``side`` pixels.

    Args:
        dataset: the data set.
        side: side of the model's input, in pixels.
        family: gives the defaults of the following arguments.
        normalise: ``data`` (mean and deviation of the training split), ``imagenet``, ``half`` (0.5 and 0.5).
        crop: side of the centre crop as a share of the shorter side.
        interpolation: interpolation of the resizing.
        decoded: the resizing that the decoder already does, followed by the centre crop.

    Raises:
        UserError: the normalisation does not fit the images.
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
    why = "as requested" if normalise else f"as for {family.weights}{family.hint}"
    numbers = {"data": "mean and deviation of the training split", "imagenet": "ImageNet's mean and deviation"}
    text = f"normalised by {numbers.get(word, 'mean 0.5 and deviation 0.5')} ({why}); "
    resized = decoded.shorter if decoded is not None else side if share is None else resized_side(side, share)
    how = f"{mode} interpolation ({'as requested' if interpolation else f'as for {family.weights}'})"
    if decoded is None and resized == side == loaded:
        text += f"images of {side} px, not resized"
        mode = None
        if dataset.spec.name.startswith(FILES):
            text += "; files of other sizes resized as in training, bilinear interpolation"
            mode = "bilinear"
    elif decoded is None and resized == side:
        text += f"images of {loaded} px resized to {side} px, {how}"
    else:
        crop_text = f", centre crop of {side} px" * (resized != side)
        text += f"images resized to {resized} px{crop_text}, {how}"
    if word == "data" and dataset.spec.name.startswith(FILES):
        text += "; training images were decoded too, to compute their mean and deviation"
    return Images(side, loaded, share, mean, std, mode, text)


def _fixed(word: str, dataset: Dataset) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of ``half`` or ``imagenet``, (channels,), in raw units."""
    channels, split = dataset.spec.in_chans, dataset.test
    if isinstance(split, Split) and (split.images.dtype != torch.uint8 or int(split.images.max()) <= BRIGHTEST // 2):
        raise UserError(
            f"normalise={word} needs values from 0 to {BRIGHTEST}, which {dataset.spec.name} does not have: "
            "give --normalise data"
        )
    if word == "half":
        return torch.full((channels,), BRIGHTEST / 2), torch.full((channels,), BRIGHTEST / 2)
    if channels != len(IMAGENET_MEAN):
        raise UserError(
            f"normalise=imagenet needs {len(IMAGENET_MEAN)} channels, and {dataset.spec.name} has {channels}: "
            "give --normalise data or half"
        )
    return torch.tensor(IMAGENET_MEAN) * BRIGHTEST, torch.tensor(IMAGENET_STD) * BRIGHTEST
