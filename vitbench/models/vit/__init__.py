"""The ViT family: its module, closed forms of its counts and memory, and its size candidates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitbench.utils.lazy import lazy

if TYPE_CHECKING:
    from vitbench.models.vit.vision_transformer import VisionTransformer

__all__ = ["VisionTransformer"]

__getattr__, __dir__ = lazy(__name__, {"vision_transformer": ("VisionTransformer",)})
