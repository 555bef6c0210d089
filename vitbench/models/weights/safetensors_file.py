"""safetensors: a JSON header of names, dtypes, shapes and offsets, then the bytes. Nothing in it can run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vitbench.declare.families import config_class, config_names, family_of
from vitbench.declare.model import ModelConfig
from vitbench.declare.serialize import from_dict
from vitbench.models.weights.checkpoint import Checkpoint, damaged
from vitbench.utils.errors import ConfigError, UserError, choices

OURS_KEY = "vitbench.weights"
"""The key that marks files of ``save_weights``; its value is the version of their layout."""

CONFIG_KEY = "vitbench.config"
"""The key of the model's config, as JSON. Files of external models have none, because such a config names a function to
call, and no file may choose that function."""

DTYPES: Mapping[str, torch.dtype] = MappingProxyType(
    {
        "F64": torch.float64,
        "F32": torch.float32,
        "F16": torch.float16,
        "BF16": torch.bfloat16,
        "I64": torch.int64,
        "I32": torch.int32,
        "I16": torch.int16,
        "I8": torch.int8,
        "U8": torch.uint8,
        "BOOL": torch.bool,
    }
)


def open_safetensors(path: Path) -> Checkpoint:
    """Reads the header. The library itself checks that the offsets cover the file exactly.

    Raises:
        UserError: the file is damaged, or holds a type of number that no vision model has.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  # no mapping
            shapes = {name: (part.get_shape(), part.get_dtype()) for name, part in slices.items()}
    except SafetensorError as error:
        raise damaged(path, error) from error
    for name, (_, dtype) in shapes.items():
        if dtype not in DTYPES:
            raise UserError(f"{path}: {name} is of type {dtype}, and {', '.join(DTYPES)} are read")
    tensors = {name: torch.empty(shape, dtype=DTYPES[dtype], device="meta") for name, (shape, dtype) in shapes.items()}

    def read(names: Iterable[str]) -> dict[str, Tensor]:
        try:
            with safe_open(path, framework="pt") as file:
                return {name: file.get_tensor(name) for name in names}
        except SafetensorError as error:
            raise damaged(path, error) from error

    return Checkpoint(
        path=path,
        kind="safetensors",
        tensors=tensors,
        read=read,
        ours=OURS_KEY in metadata,
        config=_config(path, metadata),
    )


def _config(path: Path, metadata: Mapping[str, str]) -> ModelConfig | None:
    if CONFIG_KEY not in metadata:
        return None
    try:
        values = json.loads(metadata[CONFIG_KEY])
        config = from_dict(values) if config_class(values["type"]) is not None else None
    except (ValueError, TypeError, KeyError, RecursionError, ConfigError) as error:
        raise UserError(f"{path}: its embedded vitbench config cannot be built: {error}") from error
    if not isinstance(config, ModelConfig) or family_of(config).source is not None:
        raise UserError(
            f"{path}: its embedded vitbench config names a model family that cannot be rebuilt from a file: "
            f"{choices(config_names())} exist here"
        )
    return config
