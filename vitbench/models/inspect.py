"""Attention maps, attention distances and position-embedding similarity of a vision transformer, as arrays.

The model's code is not changed. Everything that its attention uses (a relative bias, rope, a mask, its own scale) is
observed at the call that computes it, so that the weights are those that produced the output, even where torch fuses
them away.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # the usual name
from jaxtyping import Float
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vitbench.declare.sizes import Size, as_pair
from vitbench.models.pos_embed import Rope
from vitbench.models.vit import VisionTransformer
from vitbench.utils.errors import UserError

SOFTMAX = (torch.softmax, Tensor.softmax, F.softmax)
"""Functions that turn scores into weights where attention is explicit."""


def attention_maps(
    model: nn.Module, images: Float[Tensor, "batch in_chans height width"]
) -> Float[np.ndarray, "layers batch heads tokens tokens"]:
    """How much each token (second last axis) attends to each (last axis), in evaluation mode; a row sums to 1.

    Tokens are in the model's order, prefix tokens first. The maps take layers · batch · heads · tokens² · 4 bytes.

    Args:
        model: a ``VisionTransformer``, or another model whose ``blocks`` have their self-attention in ``attn``.
        images: normalised as in training, on the model's device.

    Raises:
        UserError: the model has no such blocks.
    """
    layers = [getattr(block, "attn", None) for block in getattr(model, "blocks", ())]
    spy = _Spy()
    with contextlib.ExitStack() as stack:
        for layer in layers:
            if isinstance(layer, nn.Module):
                stack.enter_context(layer.register_forward_pre_hook(spy.enter))
                stack.enter_context(layer.register_forward_hook(spy.leave))
        stack.enter_context(_evaluating(model))
        stack.enter_context(torch.inference_mode())
        stack.enter_context(spy)
        model(images)
    if not layers or len(spy.seen) != len(layers):
        raise UserError(
            f"the attention of {type(model).__name__} cannot be observed in {len(layers) or 'any'} blocks: "
            "give a VisionTransformer, uncompiled"
        )
    return np.stack([weights.cpu().numpy() for weights in spy.seen])


def rollout(
    maps: Float[np.ndarray, "layers batch heads tokens tokens"],
) -> Float[np.ndarray, "batch tokens tokens"]:
    """How much of each input token (last axis) reaches each output token through all layers (Abnar & Zuidema 2020).

    Heads are averaged, half of a token bypasses each layer on the residual path, and layers are multiplied, the first
    one rightmost: Πₗ (½ Aₗ + ½ I). A row sums to 1.
    """
    steps = 0.5 * maps.mean(axis=2) + 0.5 * np.eye(maps.shape[-1], dtype=maps.dtype)
    through: Float[np.ndarray, "batch tokens tokens"] = steps[0]
    for step in steps[1:]:
        through = step @ through
    return through


def patch_distances(
    grid: tuple[int, int], patch_px: Size | tuple[float, float]
) -> Float[np.ndarray, "patches patches"]:
    """Distance in pixels between the centres of any two patches, in reading order."""
    height, width = as_pair(patch_px) if isinstance(patch_px, int) else patch_px
    rows, columns = np.indices(grid).reshape(2, -1)
    down, across = rows[:, None] - rows, columns[:, None] - columns
    distances: Float[np.ndarray, "patches patches"] = np.hypot(down * height, across * width)
    return distances


def mean_attention_distance(
    maps: Float[np.ndarray, "layers batch heads tokens tokens"],
    grid: tuple[int, int],
    num_prefix_tokens: int,
    patch_px: Size | tuple[float, float],
) -> Float[np.ndarray, "layers heads"]:
    """Attention distance of each head in pixels (ViT paper, fig. 7): query to key, weighted by attention.

    The mean over all patches as queries and over images. Prefix tokens have no position, so only attention to patches
    counts; a query that pays them none is left out (NaN if all are).

    Args:
        maps: of ``attention_maps``.
        grid: patches down and across.
        num_prefix_tokens: tokens before the patches.
        patch_px: from one patch to the next, or (down, across).
    """
    patches = maps[..., num_prefix_tokens:, num_prefix_tokens:].astype(np.float64)
    given = patches.sum(axis=-1)
    looked = (patches * patch_distances(grid, patch_px)).sum(axis=-1)
    each = np.divide(looked, given, out=np.full_like(given, np.nan), where=given > 0)
    counted = (given > 0).sum(axis=(1, 3))
    total = np.nansum(each, axis=(1, 3))
    mean: Float[np.ndarray, "layers heads"] = np.divide(
        total, counted, out=np.full_like(total, np.nan), where=counted > 0
    )
    return mean


def position_embedding_similarity(
    model: VisionTransformer,
) -> Float[np.ndarray, "rows columns rows columns"] | None:
    """Cosine similarity of each patch's position embedding with every patch's (ViT paper, fig. 7).

    Of a table (learned, sincos), the vectors that are added to the patches are compared, those of the stem where every
    layer has its own. Of rope, the vectors of cosines and sines that it rotates with are compared, so the similarity is
    the mean cosine of the angle between two positions. None if no patch has a vector: without positions, and with a
    relative bias, which depends on offsets only.
    """
    vectors = _position_vectors(model)
    if vectors is None:
        return None
    rows, columns = model.config.grid_size
    table = vectors.detach().double().cpu()[-rows * columns :].numpy()
    unit = table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), np.finfo(float).tiny)
    return (unit @ unit.T).reshape(rows, columns, rows, columns)


def _position_vectors(model: VisionTransformer) -> Float[Tensor, "tokens channels"] | None:
    """One vector for each token, those of the patches last."""
    table = model.pos_embed
    if table is not None:
        return table[0] if isinstance(table, Tensor) else table()[0]
    rope = next((module for module in model.modules() if isinstance(module, Rope)), None)
    return None if rope is None else torch.cat((rope.cos, rope.sin), dim=-1).flatten(1)


class _Spy(TorchFunctionMode):
    """Records the attention weights between ``enter`` and ``leave``, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []
        self._inside: list[Tensor] | None = None

    def enter(self, *_: object) -> None:
        self._inside = []

    def leave(self, *_: object) -> None:
        self.seen += (self._inside or [])[-1:]
        self._inside = None

    def __torch_function__(
        self, func: Any, types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if self._inside is not None and func is F.scaled_dot_product_attention:
            self._inside.append(_weights(*args, **(kwargs or {})))
        elif self._inside is not None and func in SOFTMAX and out.ndim == 4:
            self._inside.append(out.float())
        return out


def _weights(
    query: Float[Tensor, "batch heads tokens head"],
    key: Float[Tensor, "batch heads keys head"],
    _value: Float[Tensor, "batch heads keys out"],
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,  # noqa: ARG001  # torch's signature; in evaluation it is 0
    is_causal: bool = False,
    *,
    scale: float | None = None,
) -> Float[Tensor, "batch heads tokens keys"]:
    """The weights of torch's ``scaled_dot_product_attention``, from its arguments."""
    scores = query.float() @ key.float().mT * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, float("-inf")) if attn_mask.dtype == torch.bool else scores + attn_mask
    return scores.softmax(dim=-1)


@contextlib.contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; afterwards each module has its own mode again."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
