"""The ResNet family: its module, the closed form of its counts, and its size candidates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitbench.utils.lazy import lazy

if TYPE_CHECKING:
    from vitbench.models.resnet.residual_network import ResNet

__all__ = ["ResNet"]

__getattr__, __dir__ = lazy(__name__, {"residual_network": ("ResNet",)})
