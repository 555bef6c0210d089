"""Activation checkpointing: a training step keeps what enters a block, and runs the block again on its way back.

It trades memory for time: of L alike blocks, L inputs and one block's insides are kept instead of L blocks' insides,
for one more forward pass. (Chen et al. 2016, "Training deep nets with sublinear memory cost".)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from vitbench.utils.errors import UserError


class Checkpointed(nn.Module):
    """A block whose insides are computed again in the backward pass; otherwise it is the block."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if self.training and torch.is_grad_enabled():
            return checkpoint(self.block, *args, use_reentrant=False, **kwargs)
        return self.block(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        """What is no part of this wrapper is the block's."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("block"), name)


def checkpoint_activations(model: nn.Module) -> nn.Module:
    """The same model, changed: the blocks of its stacks are checkpointed one by one.

    A stack is an ``nn.Sequential`` or ``nn.ModuleList`` whose members have members of their own; the outermost stacks
    count: the blocks of a ViT, the residual blocks of a ResNet's stages.

    Raises:
        UserError: the model has no stack of blocks.
    """
    places = list(_blocks(model))
    if not places:
        raise UserError(
            f"checkpoint_activations=True finds no blocks in {type(model).__name__}: it takes an nn.Sequential or "
            "nn.ModuleList of modules that have parts"
        )
    for stack, name, block in places:
        setattr(stack, name, Checkpointed(block))
    return model


def _blocks(module: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Module]]:
    """Stack, name in it, block: of the outermost stacks."""
    for part in module.children():
        if isinstance(part, (nn.Sequential, nn.ModuleList)) and all(any(c.children()) for c in part) and len(part):
            yield from ((part, name, block) for name, block in part.named_children())
        else:
            yield from _blocks(part)
