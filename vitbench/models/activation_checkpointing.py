"""Activation checkpointing: a training step keeps only the inputs of blocks and recomputes the blocks in backward.

It trades time for memory: for L equal blocks, it keeps L inputs and the activations of one block instead of those of L
blocks, at the cost of one more forward pass (Chen et al. 2016, "Training deep nets with sublinear memory cost").
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from vitbench.utils.errors import UserError


class Checkpointed(nn.Module):
    """A block whose activations are recomputed in the backward pass."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if self.training and torch.is_grad_enabled():
            return checkpoint(self.block, *args, use_reentrant=False, **kwargs)
        return self.block(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        """The block's attribute, if the wrapper has none of that name."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("block"), name)


def checkpoint_activations(model: nn.Module) -> nn.Module:
    """The model, changed in place so that each block of its stacks is checkpointed.

    A stack is an outermost ``nn.Sequential`` or ``nn.ModuleList`` whose modules have submodules: the blocks of a ViT,
    the residual blocks of a ResNet's stages.

    Raises:
        UserError: the model has no stack of blocks.
    """
    blocks = list(_blocks(model))
    if not blocks:
        raise UserError(
            f"checkpoint_activations=True finds no blocks in {type(model).__name__}: it needs an nn.Sequential or "
            "nn.ModuleList of modules with submodules"
        )
    for stack, name, block in blocks:
        setattr(stack, name, Checkpointed(block))
    return model


def _blocks(module: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Module]]:
    """The blocks of the outermost stacks, each as (stack, name in the stack, block)."""
    for part in module.children():
        if isinstance(part, (nn.Sequential, nn.ModuleList)) and all(any(c.children()) for c in part) and len(part):
            yield from ((part, name, block) for name, block in part.named_children())
        else:
            yield from _blocks(part)
