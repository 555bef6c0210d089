"""Saves models as safetensors files, under timm's names."""

from __future__ import annotations

import json
import os
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

from vitbench.declare.families import family_of
from vitbench.declare.model import ModelConfig
from vitbench.declare.serialize import as_dict
from vitbench.models.weights.safetensors_file import CONFIG_KEY, OURS_KEY
from vitbench.utils.errors import UserError


def save_weights(model: nn.Module, path: str | Path) -> None:
    """Writes all weights and buffers of a model, and the config for ``config_from_checkpoint``.

    Of external models the config is left out. The file appears complete or not at all.

    Raises:
        UserError: the model is on the meta device, or the folder does not exist or cannot be written to.
    """
    path = Path(path)
    config = getattr(model, "config", None)
    metadata = {"format": "pt", OURS_KEY: "1"}
    if isinstance(config, ModelConfig) and family_of(config).source is None:
        metadata[CONFIG_KEY] = json.dumps(as_dict(config))
    state = model.state_dict()
    if any(tensor.is_meta for tensor in state.values()):
        raise UserError("a model on the meta device has no weights to save: build it outside torch.device('meta')")
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}  # none shared
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        save_file(tensors, unfinished, metadata)
        unfinished.replace(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} cannot be written: {error}") from error
    finally:
        unfinished.unlink(missing_ok=True)
