"""Data sets from the user's own code: ``python:package.module:function``, called without arguments.

The function returns a ``vitbench.data.Dataset`` or a dict of arrays, named as in ``vitbench.data.arrays``:

    def shapes() -> dict[str, np.ndarray]:
        return {"images": images, "labels": labels, "flip": np.True_}

The module is imported from ``sys.path``, which includes the folder of the ablation file. The function runs in every
trial and must return the same data each time: the recorded data version is a digest of the data.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

import torch

from vitbench.data.arrays import EXPECTED, from_arrays
from vitbench.data.dataset import Dataset, Split
from vitbench.data.stream import Stream
from vitbench.utils.errors import UserError
from vitbench.utils.user_code import import_function


def load(path: str) -> Dataset:
    """The data set that the function ``path`` (``package.module:function``) returns.

    Raises:
        UserError: the module or function does not exist, raises, or returns another type.
    """
    name = f"python:{path}"
    module, _, attribute = path.partition(":")
    if not module or not attribute:
        raise UserError(f"data set {name!r} names no function: write python:package.module:function")
    function = import_function(path)
    try:
        made = function()
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{name} raised {type(error).__name__}: {error}") from error
    if isinstance(made, Dataset):
        return _checked(made, name)
    if isinstance(made, Mapping):
        return from_arrays(made, name=name, source=name)
    raise UserError(f"{name} returned {type(made).__name__}: return a vitbench.data.Dataset, or a dict with {EXPECTED}")


def _checked(dataset: Dataset, name: str) -> Dataset:
    """The data set with its ``python:`` name and a version derived from its content.

    Raises:
        UserError: a split does not match the spec.
    """
    spec = dataset.spec
    digest = hashlib.sha256()
    for part, expected in (("train", spec.num_train), ("val", spec.num_val), ("test", spec.num_test)):
        split: Any = getattr(dataset, part)  # user code may have put anything here
        if not isinstance(split, Split | Stream):
            raise UserError(f"{name}: {part} is a {type(split).__name__}: give a vitbench.data.Split or Stream")
        if not 0 < len(split) == expected:
            raise UserError(f"{name}: {part} has {len(split)} images, and its spec says {expected}")
        labels = split.labels
        if labels.dtype != torch.int64 or not 0 <= int(labels.min()) <= int(labels.max()) < spec.num_classes:
            raise UserError(f"{name}: labels of {part} must be int64 from 0 to {spec.num_classes - 1}")
        digest.update(labels.numpy().tobytes())
        if isinstance(split, Stream):
            digest.update(split.files.digest().encode())
            continue
        shape = (expected, spec.in_chans, spec.img_size, spec.img_size)
        if split.images.shape != shape or split.images.dtype not in (torch.uint8, torch.float32):
            raise UserError(
                f"{name}: images of {part} are {tuple(split.images.shape)} {split.images.dtype}, and its spec says "
                f"{shape}, uint8 or float32"
            )
        digest.update(split.images.contiguous().numpy().tobytes())
    version = f"{spec.version}-{digest.hexdigest()[:12]}"
    return dataclasses.replace(dataset, spec=dataclasses.replace(spec, name=name, version=version))
