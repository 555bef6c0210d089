"""A model and its input as the measurement settings want them; nothing here is timed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vitbench.declare.measure import MeasureConfig
from vitbench.declare.model import ModelConfig
from vitbench.declare.sizes import as_pair
from vitbench.measure.activation_checkpointing import checkpoint_activations
from vitbench.measure.meta_copy import ModelLike, module_of
from vitbench.models import build
from vitbench.utils.errors import UserError, unknown

DEVICES = ("auto", "cpu", "cuda")


def available(device: str) -> str:
    """``cpu`` or ``cuda``: the device itself, or for ``auto`` the GPU where there is one.

    Raises:
        UserError: no such device, or not here.
    """
    if device not in DEVICES:
        raise UserError(unknown("device", device, DEVICES))
    if device == "cpu" or torch.cuda.is_available():
        return "cpu" if device == "cpu" else "cuda"
    if device == "auto":
        return "cpu"
    why = "sees no GPU" if torch.version.cuda else "is built without CUDA"
    raise UserError(f"device 'cuda' is not available: torch {torch.__version__} {why}; type --device cpu")


def prepared(
    config: ModelConfig, settings: MeasureConfig, *, device: str, training: bool = False
) -> tuple[nn.Module, Tensor]:
    """The model on its device, and images (batch_size, in_chans, height, width); the same ones every time.

    Activation checkpointing is for training: it would change nothing in a forward pass but the time that asking takes.

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
    """Model and example for ``memory``: the config alone where the settings ask for nothing that it does not say.

    Raises:
        UserError: as ``prepared``.
    """
    checkpointing = training and settings.checkpoint_activations
    if settings.dtype == "float32" and not checkpointing:
        return config, None
    dtype = getattr(torch, settings.dtype)
    module = module_of(config).to(dtype)
    example = torch.zeros(1, config.in_chans, *as_pair(config.img_size), dtype=dtype)
    return checkpoint_activations(module) if checkpointing else module, example
