"""Loads checkpoints into models: everything is checked first, then everything is copied."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import torch
from torch import Tensor, nn

from vitbench.models.weights.formats import convert, recognise
from vitbench.models.weights.opening import open_checkpoint
from vitbench.models.weights.plan import Plan
from vitbench.models.weights.report import LoadReport
from vitbench.models.weights.resizing import METHODS
from vitbench.utils.errors import UserError, unknown


def load_weights(
    model: nn.Module,
    path: str | Path,
    *,
    resize: str | None = None,
    replace_head: bool = False,
    drop: Collection[str] = (),
) -> LoadReport:
    """Copies a checkpoint into a model, in place; after an error the model is as it was.

    Strict: each tensor of the file has a place in the model and the reverse, except for what the report names.

    Args:
        model: of ``build``, or any module with timm's parameter names.
        path: a ``.pth``, ``.safetensors`` or ``.npz`` file of one of ``formats.FORMATS``.
        resize: how position embeddings go to another grid, one of ``resizing.METHODS``; by default as the code that
            the format belongs to does it.
        replace_head: keep the model's own classifier where the file's has other classes, or none.
        drop: tensors of the file to leave out, under timm's names or their beginnings (``pre_logits``).

    Raises:
        UserError: the file cannot be read, or does not fit: the message says which tensors, and what would.
    """
    if resize is not None and resize not in METHODS:
        raise UserError(unknown("resize method", resize, METHODS))
    checkpoint = open_checkpoint(path)
    form = recognise(checkpoint)
    target = {name: tensor for name, tensor in _bare(model).state_dict().items() if isinstance(tensor, Tensor)}
    if any(tensor.is_meta for tensor in target.values()):
        raise UserError("a model on the meta device cannot hold weights: build it outside torch.device('meta')")
    plan = Plan(checkpoint, form, convert(form, checkpoint.tensors), target, getattr(_bare(model), "config", None))
    plan.leave(drop)
    plan.fit_head(replace_head=replace_head)
    plan.fit_positions(resize or form.resize)
    plan.check()
    report, values = plan.report(), plan.values()  # nothing after this can fail
    with torch.no_grad():
        for name, value in values.items():
            target[name].copy_(value)
    return report


def _bare(model: nn.Module) -> nn.Module:
    """The module inside ``torch.compile``."""
    inside = getattr(model, "_orig_mod", model)
    return inside if isinstance(inside, nn.Module) else model
