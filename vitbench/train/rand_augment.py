"""RandAugment (Cubuk et al. 2019) on batches: each image draws operations, each operation runs once per batch.

The operations are the paper's 14: identity, five geometric ones (bilinear, filled with raw zeros, the background) and
eight on colours. Magnitude 10 means, as in timm's increasing set, a rotation of 30°, a shear of .3, a translation by
.45 of the side, and a change of brightness, color, contrast or sharpness by .9. Posterize keeps 8 - .4 · magnitude
bits; solarize inverts values above 256 · (1 - magnitude / 10). Signs are random. Unlike timm, the magnitude has no
random noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from vitbench.train import color

GEOMETRIC = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
COLORS = ("autocontrast", "equalize", "solarize", "posterize", "color", "contrast", "brightness", "sharpness")

_ENHANCE: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {
        "color": color.color,
        "contrast": color.contrast,
        "brightness": color.brightness,
        "sharpness": color.sharpness,
    }
)


def operations(images: Tensor) -> tuple[str, ...]:
    """Names of the operations for images (n, c, h, w); those on colours need three channels of bytes (0 to 255)."""
    colored = images.shape[1] == 3 and images.dtype == torch.uint8
    return ("identity", *GEOMETRIC, *(COLORS if colored else ()))


@dataclass(frozen=True)
class Draws:
    """The operations drawn for each image of a data set in an epoch."""

    which: Tensor  # (n, rounds), indices into ``names``
    signs: Tensor  # (n, rounds), -1.0 or 1.0
    names: tuple[str, ...]

    def __getitem__(self, rows: Tensor) -> Draws:
        return Draws(self.which[rows], self.signs[rows], self.names)


def draw(count: int, rounds: int, names: tuple[str, ...], generator: torch.Generator) -> Draws:
    """Operations and signs, drawn round by round, so that a further round does not change the earlier ones."""
    which, signs = [], []
    for _ in range(rounds):
        which.append(torch.randint(len(names), (count,), generator=generator))
        signs.append(torch.randint(2, (count,), generator=generator) * 2.0 - 1)
    return Draws(torch.stack(which, dim=1), torch.stack(signs, dim=1), names)


def apply(images: Float[Tensor, "batch chans height width"], draws: Draws, magnitude: int) -> Tensor:
    """The raw images after their operations; ``draws`` has one row per image and is on the CPU."""
    images, names, strength = images.clone(), draws.names, magnitude / 10
    maps = torch.stack([torch.stack([matrix(name, sign * strength) for sign in (-1, 1)]) for name in names])
    moves = torch.tensor([name in GEOMETRIC for name in names])
    for which, signs in zip(draws.which.T, draws.signs.T, strict=True):
        if (moved := moves[which]).any():
            rows = moved.nonzero()[:, 0]
            drawn = maps[which[rows], (signs[rows] > 0).long()].to(images.device)
            rows = rows.to(images.device)
            images[rows] = move(images[rows], drawn)
        for number, name in enumerate(names):
            if name in COLORS and (chosen := which == number).any():
                rows = chosen.nonzero()[:, 0].to(images.device)
                images[rows] = recolor(name, images[rows], signs[chosen].to(images.device), strength)
    return images


def matrix(name: str, strength: float) -> Float[Tensor, "2 3"]:
    """The affine map from output [x, y, 1] to input [x, y], in coordinates from -1 to 1."""
    angle = math.radians(30 * strength) if name == "rotate" else 0.0
    shear, shift = 0.3 * strength, 2 * 0.45 * strength
    return torch.tensor(
        [
            [math.cos(angle), math.sin(angle) + shear * (name == "shear_x"), shift * (name == "translate_x")],
            [-math.sin(angle) + shear * (name == "shear_y"), math.cos(angle), shift * (name == "translate_y")],
        ]
    )


def move(images: Float[Tensor, "batch chans height width"], maps: Float[Tensor, "batch 2 3"]) -> Tensor:
    grid = functional.affine_grid(maps, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def recolor(name: str, images: Tensor, signs: Tensor, strength: float) -> Tensor:
    """Images after one colour operation at a strength from 0 to 1."""
    if name == "autocontrast":
        return color.autocontrast(images)
    if name == "equalize":
        return color.equalize(images)
    if name == "posterize":
        return color.posterize(images, 8 - round(4 * strength))
    if name == "solarize":
        return color.solarize(images, 256 * (1 - strength))
    return _ENHANCE[name](images, 1 + 0.9 * strength * signs)
