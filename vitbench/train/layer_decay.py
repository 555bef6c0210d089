"""Assignment of parameters to layers, for layer-wise learning-rate decay."""

from __future__ import annotations

import re
from collections.abc import Iterable

from vitbench.utils.errors import UserError

LAYER = re.compile(r"(?:.*\.)?(?:blocks\.\d+|layer\d+\.\d+|encoder_layer_\d+|layers?\.\d+)(?=\.)")
"""Names of layers in transformers and residual networks of vitbench, timm, torchvision and Hugging Face."""

STEM = "patch_embed."
"""The backbone of a hybrid ViT, whose blocks belong to the stem."""


def layers_above(names: Iterable[str]) -> dict[str, int]:
    """The number of layers above each parameter, whose names come in the order of registration.

    All parameters before the first block (tokens, positions, stem) form one layer, and all after the last (norm, head)
    the top layer, as in BEiT and MAE (Bao et al. 2021; He et al. 2021).

    Raises:
        UserError: no name matches a layer.
    """
    numbers: dict[str, int] = {}
    seen: dict[str, int] = {}
    pending: list[str] = []  # names after a block, which belong to the next block or to the head
    for name in names:
        match = None if name.startswith(STEM) else LAYER.match(name)
        if match:
            number = seen.setdefault(match.group(), len(seen) + 1)
            numbers |= dict.fromkeys(pending, number)
            pending = []
            numbers[name] = number
        elif seen:
            pending.append(name)
        else:
            numbers[name] = 0
    if not seen:
        raise UserError(
            "layer_decay needs a model with layer names such as blocks.0 or layer1.0, and this model has none: "
            "set layer_decay=1"
        )
    top = len(seen) + 1
    numbers |= dict.fromkeys(pending, top)
    return {name: top - number for name, number in numbers.items()}
