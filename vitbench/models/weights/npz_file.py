"""numpy archives, as Google's JAX code writes them: a zip of arrays, each with a header of dtype and shape."""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from vitbench.models.weights.checkpoint import Checkpoint, damaged
from vitbench.utils.errors import UserError

DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, SyntaxError, tokenize.TokenError)
"""Errors that zipfile and numpy raise on bytes that are not an archive of arrays."""

BFLOAT16 = np.dtype("V2")
"""The dtype that numpy reads for JAX's bfloat16, which it does not know."""


def open_npz(path: Path, members: Sequence[zipfile.ZipInfo]) -> Checkpoint:
    """Reads the header of every array: about a hundred bytes each, however large the archive claims to be.

    Raises:
        UserError: the archive is damaged, holds Python objects, or an array is not of the size its header says.
    """
    where = {member.filename.removesuffix(".npy"): member for member in members}
    tensors = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name, member in where.items():
                with archive.open(member) as file:
                    tensors[name] = _header(path, name, cast("zipfile.ZipExtFile", file), member.file_size)
    except DAMAGE as error:
        raise damaged(path, error) from error

    def read(names: Iterable[str]) -> dict[str, Tensor]:
        arrays = {}
        try:
            with zipfile.ZipFile(path) as archive:
                for name in names:
                    with archive.open(where[name]) as file:
                        arrays[name] = np.lib.format.read_array(file, allow_pickle=False)
        except DAMAGE as error:
            raise damaged(path, error) from error
        return {name: _tensor(array) for name, array in arrays.items()}

    return Checkpoint(path=path, kind="npz", tensors=tensors, read=read)


def _header(path: Path, name: str, file: zipfile.ZipExtFile, size: int) -> Tensor:
    version = np.lib.format.read_magic(file)
    if version not in {(1, 0), (2, 0)}:
        raise ValueError(f"{name} is an array of format {version}")
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = reader(file)
    if dtype.hasobject:
        raise UserError(f"{path}: {name} holds Python objects, which could run code: only arrays of numbers are read")
    if math.prod(shape) * dtype.itemsize != size - file.tell():
        raise UserError(
            f"{path}: {name} says its shape is {shape}, which does not fit the {size - file.tell()} bytes it unpacks to"
        )
    return torch.empty(shape, dtype=_tensor(np.empty(0, dtype)).dtype, device="meta")


def _tensor(array: np.ndarray) -> Tensor:
    """The array as a tensor.

    Raises:
        ValueError: torch knows no such numbers.
    """
    if array.dtype == BFLOAT16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    try:
        return torch.from_numpy(array)
    except TypeError as error:
        raise ValueError(f"{array.dtype} are no numbers of a model") from error
