"""Recognises the format of a checkpoint, and converts its tensors to timm's names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from vitbench.models.weights.checkpoint import Checkpoint
from vitbench.models.weights.rules import FORMATS, Format
from vitbench.utils.errors import UserError, choices

Tensors: TypeAlias = Mapping[str, Tensor]

_WRAPPED = ("module.", "_orig_mod.")  # left by DistributedDataParallel and torch.compile

MAX_DEPTH = 1000
"""The most blocks in a stack; a longer first dimension is not a stack of blocks."""


@dataclass(frozen=True, kw_only=True)
class Converted:
    """A checkpoint under timm's names."""

    tensors: dict[str, Tensor]
    sources: dict[str, tuple[str, ...]]  # timm's name → the file's names
    dropped: dict[str, str]  # the file's name → why it is left out


def recognise(checkpoint: Checkpoint) -> Format:
    """The format that the names of the tensors identify.

    Raises:
        UserError: it is none of ``FORMATS``.
    """
    names = checkpoint.tensors
    if checkpoint.ours:
        return FORMATS["vitbench"]
    if any(name.endswith("embedding/kernel") for name in names):
        return FORMATS["Google JAX"]
    if any(name.endswith("embeddings.patch_embeddings.projection.weight") for name in names):
        return FORMATS["Hugging Face"]
    plain = {_unwrapped(name) for name in names}
    if {"conv_proj.weight", "encoder.pos_embedding"} <= plain:
        return FORMATS["torchvision ViT"]
    if "layer1.0.conv1.weight" in plain:
        return FORMATS["torchvision or timm ResNet"]
    if {"patch_embed.proj.weight", "blocks.0.attn.qkv.weight"} <= plain:
        return FORMATS["DeiT" if checkpoint.wrapper == "model" else "timm"]
    raise UserError(
        f"{checkpoint.path} is not in a recognised checkpoint format (its tensors are {choices(list(names)[:3])}, …): "
        f"files of {choices(FORMATS)} are read"
    )


def convert(form: Format, tensors: Tensors) -> Converted:
    """The tensors under timm's names and in its layouts; on the meta device it costs nothing.

    Raises:
        UserError: one of several tensors that make up one is missing, or one has an impossible shape.
    """
    inside, dropped = _inside(form, tensors)
    pieces: dict[str, dict[int, tuple[str, Tensor]]] = {}
    wanted: dict[str, int] = {}
    for (name, source), tensor in inside.items():
        reason = next((why for pattern, why in form.unused.items() if re.fullmatch(pattern, name)), None)
        if reason:
            dropped[source] = reason
            continue
        target, value, part = _named(form, name, source, tensor)
        if part[0] in pieces.setdefault(target, {}):
            other = pieces[target][part[0]][0]
            raise UserError(f"{source} and {other} both map to {target}: the file seems to contain two models")
        pieces[target][part[0]] = (source, value)
        wanted[target] = part[1]
    for target, found in pieces.items():
        if len(found) != wanted[target]:
            have = choices(source for source, _ in found.values())
            raise UserError(f"{target} needs {wanted[target]} tensors and the file has {have} alone: it is incomplete")
    if not any(".stages." in target for target in pieces):  # timm's name for a stem without stages
        pieces = {target.replace("backbone.stem.", "backbone.", 1): found for target, found in pieces.items()}
    ordered = {target: [found[k] for k in sorted(found)] for target, found in pieces.items()}
    try:
        joined = {
            t: torch.cat([v for _, v in found]) if len(found) > 1 else found[0][1] for t, found in ordered.items()
        }
    except RuntimeError as error:
        raise UserError(f"queries, keys and values of the file do not fit each other: {error}") from error
    return Converted(
        tensors=joined,
        sources={target: tuple(source for source, _ in found) for target, found in ordered.items()},
        dropped=dropped,
    )


def _named(form: Format, name: str, source: str, tensor: Tensor) -> tuple[str, Tensor, tuple[int, int]]:
    for rule in form.rules:
        try:
            found = rule.apply(name, tensor)
        except (RuntimeError, IndexError) as error:
            raise UserError(f"{source} has the shape {tuple(tensor.shape)}, which {form.name} never writes") from error
        if found:
            return (*found, rule.part or (0, 1))
    return name, tensor, (0, 1)


def _unwrapped(name: str) -> str:
    for prefix in _WRAPPED:
        name = name.removeprefix(prefix)
    return name


def _inside(form: Format, tensors: Tensors) -> tuple[dict[tuple[str, str], Tensor], dict[str, str]]:
    """{(name without prefix, name in the file): tensor}, and the names outside the prefix with the reason."""
    plain = {source: _unwrapped(source) for source in tensors}
    dropped = {}
    if form.name == "Google JAX":
        prefix = next((p for p in form.prefixes if f"{p}embedding/kernel" in tensors), "")
        outside = [source for source in plain if not source.startswith(prefix)]
        dropped = dict.fromkeys(outside, f"it is outside {prefix}: an optimiser's or another tower's")
        plain = {source: source.removeprefix(prefix) for source in plain if source.startswith(prefix)}
    else:
        prefix = next((p for p in form.prefixes if any(name.startswith(p) for name in plain.values())), "")
        plain = {source: name.removeprefix(prefix) for source, name in plain.items()}
    return dict(_unstacked((name, source, tensors[source]) for source, name in plain.items())), dropped


def _unstacked(named: Iterable[tuple[str, str, Tensor]]) -> Iterable[tuple[tuple[str, str], Tensor]]:
    """Separates blocks that big_vision has stacked along a first dimension."""
    for name, source, tensor in named:
        if name.startswith("Transformer/encoderblock/") and tensor.ndim and len(tensor) <= MAX_DEPTH:
            for number, layer in enumerate(tensor.unbind()):
                yield (name.replace("encoderblock", f"encoderblock_{number}", 1), source), layer
        else:
            yield (name, source), tensor


def number_of_heads(tensors: Tensors) -> int | None:
    """The number of heads, if the file shows it: JAX keeps (dim, heads, head)."""
    for name, tensor in tensors.items():
        if re.search(r"encoderblock(_\d+)?/MultiHeadDotProductAttention_[01]/query/kernel$", name) and tensor.ndim >= 3:
            return tensor.shape[-2]
    return None
