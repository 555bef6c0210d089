"""An opened checkpoint: the names and shapes of its tensors, known before any of them is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from torch import Tensor

from vitbench.declare.model import ModelConfig
from vitbench.utils.errors import UserError

MAX_BYTES = 32 * 2**30
"""A file whose tensors take more than this is refused without being read: four times ViT-G/14 in float32."""

Kind: TypeAlias = Literal["torch", "safetensors", "npz"]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The content that a file declares.

    ``tensors`` are on the meta device, with shape and dtype and no storage; ``read`` returns the named ones for real.
    So everything is checked against a model, and nothing allocated, before the first weight is read.
    """

    path: Path
    kind: Kind
    tensors: Mapping[str, Tensor]
    read: Callable[[Iterable[str]], dict[str, Tensor]]
    wrapper: str | None = None  # the key under which a torch file keeps its weights, if it has one
    beside: Mapping[str, str] = field(default_factory=dict)  # other entries of the file → why they are not weights
    ours: bool = False  # written by save_weights
    config: ModelConfig | None = None  # of the model, in a file of save_weights


def damaged(path: Path, why: object) -> UserError:
    """The error for a file that cannot be read to its end."""
    reason = str(why).strip().split("\n", 1)[0].rstrip(".:")
    return UserError(
        f"{path} is truncated or damaged ({reason or type(why).__name__}): download or copy it again; "
        ".pth, .safetensors and .npz files are read"
    )


def refuse_large(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Refuses a file that says it holds more than ``MAX_BYTES``.

    Raises:
        UserError: it does.
    """
    total = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if total > MAX_BYTES:
        raise UserError(
            f"{path} says it holds {total / 2**30:.1f} GiB of tensors: more than {MAX_BYTES / 2**30:g} GiB is not read"
        )
