"""Which layer a parameter belongs to, for learning rates that shrink towards the input."""

from __future__ import annotations

import re
from collections.abc import Iterable

from vitbench.utils.errors import UserError

LAYER = re.compile(r"(?:.*\.)?(?:blocks\.\d+|layer\d+\.\d+|encoder_layer_\d+|layers?\.\d+)(?=\.)")
"""How the layers of transformers and residual networks are called: ours, timm's, torchvision's, Hugging Face's."""

STEM = "patch_embed."
"""A hybrid's backbone has blocks too, and is a stem."""


def layers_above(names: Iterable[str]) -> dict[str, int]:
    """For each parameter, in the order in which the model registers them, how many layers are above its own.

    All before the first block (tokens, positions, stem) are one layer, and all after the last (norm, head) another, of
    which 0 are above: as in BEiT and MAE (Bao et al. 2021; He et al. 2021).

    Raises:
        UserError: no name looks like a layer's.
    """
    numbers: dict[str, int] = {}
    seen: dict[str, int] = {}
    pending: list[str] = []  # after a block: of the next one's layer, or of the head's
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
            "layer_decay needs a model whose layers have names such as blocks.0 or layer1.0, and this one's have none: "
            "take layer_decay=1"
        )
    top = len(seen) + 1
    numbers |= dict.fromkeys(pending, top)
    return {name: top - number for name, number in numbers.items()}
