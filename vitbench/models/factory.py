"""Any model's config → its ``nn.Module``, by the builder that its family declares."""

from __future__ import annotations

from torch import nn

from vitbench.declare.families import family_of
from vitbench.declare.model import ModelConfig
from vitbench.utils.lazy import resolve


def build(config: ModelConfig) -> nn.Module:
    """The model of a config, in training mode, with initial weights drawn from torch's global generator.

    It maps images (batch, in_chans, height, width) to logits (batch, num_classes). Under ``torch.device("meta")`` it
    has shapes and no storage.

    Raises:
        UserError: this is not a config of a registered family, or an external model that cannot be built.
    """
    model: nn.Module = resolve(family_of(config).build)(config)
    return model
