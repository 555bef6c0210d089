"""Shapes under timm's names → the config of the model that has them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from torch import Tensor

from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.vit import ViTConfig
from vitbench.models.weights.published import named_depth, usual_heads
from vitbench.models.weights.rules import Format
from vitbench.utils.errors import UserError

Tensors: TypeAlias = Mapping[str, Tensor]


def _numbers(tensors: Tensors, pattern: str) -> int:
    """How many different numbers the pattern's group matches."""
    return len({match[1] for name in tensors if (match := re.match(pattern, name))})


def vit_from(tensors: Tensors, form: Format, heads: int | None) -> tuple[ViTConfig, list[str]]:
    """The config, and the assumptions in words. ``heads``: their number, if the file shows it."""
    said = []
    embed_dim, _, *kernel = tensors["patch_embed.proj.weight"].shape
    depth = _numbers(tensors, r"blocks\.(\d+)\.")
    if heads is None:
        heads, why = usual_heads(embed_dim, depth)
        said.append(f"the file does not show its number of heads: {heads} assumed, {why}")
    stem, stride = _stem(tensors)
    patch_h, patch_w = kernel[0] * stride, kernel[1] * stride
    values: dict[str, Any] = {
        "patch_size": _size(patch_h, patch_w),
        "num_classes": tensors["head.weight"].shape[0] if "head.weight" in tensors else 0,
        "embed_dim": embed_dim,
        "depth": depth,
        "num_heads": heads,
        "qkv_bias": "blocks.0.attn.qkv.bias" in tensors,
        "pos_embed": _positions(tensors, form),
        "pool": "map" if "attn_pool.latent" in tensors else "cls" if "cls_token" in tensors else "mean",
        **stem,
        **_feed_forward(tensors, embed_dim),
        **_tokens(tensors),
        **_norms(tensors),
        **form.assumed,
    }
    if "pos_embed" in tensors:
        rows = tensors["pos_embed"].shape[1] - prefix_rows(tensors)
        side = math.isqrt(rows)
        if side**2 != rows:
            raise UserError(
                f"its {rows} patch positions do not form a square, so the image size cannot be told: "
                "build the model yourself, with ViTConfig(img_size=(height, width))"
            )
        values["img_size"] = _size(side * patch_h, side * patch_w)
    else:
        values["img_size"] = _size(*(max(round(224 / patch), 1) * patch for patch in (patch_h, patch_w)))
        said.append(f"the file does not show its image size: {values['img_size']} assumed")
    return ViTConfig(**values), said


def _stem(tensors: Tensors) -> tuple[dict[str, Any], int]:
    """The stem's settings, and the stride in pixels of the features that are cut into patches."""
    at = "patch_embed.backbone."
    if f"{at}0.weight" in tensors:  # its convolutions all have stride 2
        count = sum(tensors[n].ndim == 4 for n in tensors if re.fullmatch(r"patch_embed\.backbone\.\d+\.weight", n))
        return {"stem": "conv", "in_chans": tensors[f"{at}0.weight"].shape[1]}, 2**count
    root = next((tensors[n] for n in (f"{at}stem.conv.weight", f"{at}conv.weight") if n in tensors), None)
    if root is None:
        return {"in_chans": tensors["patch_embed.proj.weight"].shape[1]}, 1
    stages = _numbers(tensors, r"patch_embed\.backbone\.stages\.(\d+)\.")
    layers = tuple(_numbers(tensors, rf"patch_embed\.backbone\.stages\.{n}\.blocks\.(\d+)\.") for n in range(stages))
    knobs = {"stem": "hybrid", "hybrid_layers": layers, "hybrid_width": root.shape[0], "in_chans": root.shape[1]}
    return knobs, 4 * 2 ** max(stages - 1, 0)


def _feed_forward(tensors: Tensors, embed_dim: int) -> dict[str, Any]:
    gated = "blocks.0.mlp.fc1_g.weight" in tensors
    hidden = tensors["blocks.0.mlp.fc1_g.weight" if gated else "blocks.0.mlp.fc1.weight"].shape[0]
    ratio = hidden / embed_dim
    if int(embed_dim * ratio) != hidden:  # the division was rounded down
        ratio = math.nextafter(ratio, math.inf)
    return {"mlp_ratio": ratio} | ({"mlp": "swiglu"} if gated else {})


def _tokens(tensors: Tensors) -> dict[str, Any]:
    """Tokens beside the class token, and the representation layer."""
    found: dict[str, Any] = {"distilled": True} if "dist_token" in tensors else {}
    if "reg_token" in tensors:
        found["num_registers"] = tensors["reg_token"].shape[1]
    if "pre_logits.fc.weight" in tensors:
        found["representation_size"] = tensors["pre_logits.fc.weight"].shape[0]
    return found


def _norms(tensors: Tensors) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "blocks.0.norm1.running_mean" in tensors:
        found["norm"] = "batchnorm"
    elif "blocks.0.norm1.bias" not in tensors:
        found["norm"] = "rmsnorm"
    if "norm.weight" not in tensors:
        found["norm_position"] = "post"
    if "blocks.0.attn.q_norm.weight" in tensors:
        found["qk_norm"] = True
    if "patch_embed.norm.weight" in tensors:
        found["patch_norm"] = True
    if "blocks.0.ls1.gamma" in tensors:
        found["layer_scale"] = 1e-5  # its initial value no longer matters
    return found


def _positions(tensors: Tensors, form: Format) -> str:
    if "pos_embed" in tensors:
        return "learned"
    if any(name.endswith("relative_position_bias_table") for name in tensors):
        return "relative"
    return "sincos2d" if form.name == "Google JAX" else "none"  # big_vision computes its own and saves none


def prefix_rows(tensors: Tensors, patches: int | None = None) -> int:
    """How many rows of a file's ``pos_embed`` belong to tokens that are not patches.

    All such tokens have a row (timm, DeiT), or all but the registers (DINOv2), or none (big_vision): whichever leaves
    a square of patches, those of the model (``patches``) first.
    """
    rows = tensors["pos_embed"].shape[1]
    tokens = [tensors[name].shape[1] for name in ("cls_token", "dist_token", "reg_token") if name in tensors]
    registers = tokens[-1] if "reg_token" in tensors else 0
    everything = sum(tokens)
    square = [n for n in (everything, everything - registers, 0) if 0 < rows - n == math.isqrt(max(rows - n, 0)) ** 2]
    return next((n for n in square if rows - n == patches), square[0] if square else everything)


def _size(height: int, width: int) -> int | tuple[int, int]:
    return height if height == width else (height, width)


def resnet_from(tensors: Tensors) -> tuple[ResNetConfig, list[str]]:
    """The config, and the assumptions in words."""
    count = _numbers(tensors, r"layer(\d+)\.")
    layers = tuple(_numbers(tensors, rf"layer{number}\.(\d+)\.") for number in range(1, count + 1))
    deep = "conv1.0.weight" in tensors
    first = tensors["conv1.0.weight" if deep else "conv1.weight"]
    imagenet = deep or first.shape[-1] == 7
    img_size = 224 if imagenet else 32
    config = ResNetConfig(
        depth=None,
        layers=layers,
        block="bottleneck" if "layer1.0.conv3.weight" in tensors else "basic",
        width=tensors["conv1.6.weight"].shape[0] if deep else first.shape[0],
        stem="imagenet" if imagenet else "cifar",
        norm="batchnorm" if "bn1.running_mean" in tensors else "groupnorm",
        residual=count == 1 or any(".downsample." in name for name in tensors),
        variant="d" if deep else "plain",
        img_size=img_size,
        in_chans=first.shape[1],
        num_classes=tensors["fc.weight"].shape[0] if "fc.weight" in tensors else 0,
    )
    return named_depth(config), [f"the file does not show its image size: img_size={img_size} assumed"]
