"""Checkpoint → the config of the model that it was made for."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

from vitbench.declare.model import ModelConfig
from vitbench.models.weights.checkpoint import Checkpoint
from vitbench.models.weights.formats import Converted, convert, number_of_heads, recognise
from vitbench.models.weights.opening import open_checkpoint
from vitbench.models.weights.rules import Format
from vitbench.models.weights.shapes import resnet_from, vit_from
from vitbench.utils.errors import ConfigError, UserError


@dataclass(frozen=True, kw_only=True)
class Inferred:
    config: ModelConfig
    assumptions: tuple[str, ...]  # settings that the file does not show, in words


def config_from_checkpoint(path: str | Path) -> ModelConfig:
    """The config of the model that a checkpoint was made for, read from names and shapes; no tensor is read.

    A file of ``save_weights`` has its config inside. For any other one, what shapes do not show (the number of heads,
    but for JAX; the image size of a ResNet) is assumed, and a ``UserWarning`` says what.

    Raises:
        UserError: the file cannot be read or is of no known format, or no config describes its model.
    """
    checkpoint = open_checkpoint(path)
    form = recognise(checkpoint)
    inferred = infer(checkpoint, form, convert(form, checkpoint.tensors))
    for assumption in inferred.assumptions:
        warnings.warn(f"{checkpoint.path}: {assumption}", stacklevel=2)
    return inferred.config


def infer(checkpoint: Checkpoint, form: Format, converted: Converted) -> Inferred:
    """The config that the tensors show, under timm's names.

    Raises:
        UserError: no config describes them.
    """
    if checkpoint.config is not None:
        return Inferred(config=checkpoint.config, assumptions=())
    if checkpoint.ours:
        raise UserError(f"{checkpoint.path} does not contain its model's config: build the model, then load into it")
    tensors = converted.tensors
    if empty := [name for name, tensor in tensors.items() if not tensor.numel()]:
        shape = tuple(tensors[empty[0]].shape)
        raise UserError(f"{checkpoint.path} is not a model that can be built here: {empty[0]} has shape {shape}")
    config: ModelConfig
    try:
        if "layer1.0.conv1.weight" in tensors:
            config, said = resnet_from(tensors)
        else:
            config, said = vit_from(tensors, form, number_of_heads(checkpoint.tensors))
    except (KeyError, IndexError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise UserError(f"{checkpoint.path} is not a model that can be built here: {error}") from error
        raise UserError(
            f"{checkpoint.path} is not a model that can be built here: {error} is not as expected"
        ) from error
    return Inferred(config=config, assumptions=tuple(said))
