"""Builds the model and its input images for the measurement settings; nothing here is timed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vitbench.declare.measure import MeasureConfig
from vitbench.declare.model import ModelConfig
from vitbench.declare.sizes import as_pair
from vitbench.measure.meta_copy import ModelLike, module_of
from vitbench.models import build
from vitbench.models.activation_checkpointing import checkpoint_activations


def prepared(
    config: ModelConfig, settings: MeasureConfig, *, device: str, training: bool = False
) -> tuple[nn.Module, Tensor]:
    """The model on its device and fixed random images of shape (batch_size, in_chans, height, width).

    Activation checkpointing applies to training only: a forward pass without gradients keeps no activations.

    Raises:
        UserError: the model cannot be built, or has no blocks to checkpoint.
    """
    dtype = getattr(torch, settings.dtype)
    torch.manual_seed(0)
    model = build(config).to(device, dtype)
    shape = (settings.batch_size, config.in_chans, *as_pair(config.img_size))
    images = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device, dtype)
    if training and settings.checkpoint_activations:
        model = checkpoint_activations(model)
    if settings.channels_last:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
        images = images.to(memory_format=torch.channels_last)
    return model, images


def modelled(config: ModelConfig, settings: MeasureConfig, *, training: bool) -> tuple[ModelLike, Tensor | None]:
    """The arguments of ``memory``: the config alone where that suffices, otherwise a meta copy and an example.

    Raises:
        UserError: the model cannot be built, or has no blocks to checkpoint.
    """
    checkpointing = training and settings.checkpoint_activations
    if settings.dtype == "float32" and not checkpointing:
        return config, None
    dtype = getattr(torch, settings.dtype)
    module = module_of(config).to(dtype)
    example = torch.zeros(1, config.in_chans, *as_pair(config.img_size), dtype=dtype)
    return checkpoint_activations(module) if checkpointing else module, example
