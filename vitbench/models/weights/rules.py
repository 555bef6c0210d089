"""The formats: for each a table of names → timm's names, and what its author's code does with them.

A rule's source is a regular expression; ``{i}`` and ``{j}`` stand for numbers, ``{p}`` for the last part of a name
(JAX's ``kernel`` and ``scale`` are ``weight``). Read in the code that writes each format: timm, DeiT, torchvision,
transformers, google-research's vision_transformer and big_vision; the tests rebuild them.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

from torch import Tensor

Transform: TypeAlias = Callable[[Tensor], Tensor]


def _same(tensor: Tensor) -> Tensor:
    return tensor


def _flat(tensor: Tensor) -> Tensor:
    return tensor.flatten()


def _dense(kernel: Tensor) -> Tensor:
    """(inputs, outputs) → (outputs, inputs)."""
    return kernel.t()


def _conv(kernel: Tensor) -> Tensor:
    """(height, width, inputs, outputs) → (outputs, inputs, height, width)."""
    return kernel.permute(3, 2, 0, 1)


def _to_heads(kernel: Tensor) -> Tensor:
    """(dim, heads, head) → (heads × head, dim)."""
    return kernel.flatten(1).t()


def _from_heads(kernel: Tensor) -> Tensor:
    """(heads, head, dim) → (dim, heads × head)."""
    return kernel.flatten(0, 1).t()


def _patches(weight: Tensor) -> Tensor:
    """The layout of timm's files of 2020: (dim, 3 × side²) → (dim, 3, side, side)."""
    side = math.isqrt(weight.shape[-1] // 3) if weight.ndim == 2 else 0
    return weight.reshape(-1, 3, side, side) if side and 3 * side**2 == weight.shape[-1] else weight


@dataclass(frozen=True)
class Rule:
    source: str
    target: str
    weight: Transform = _same  # from the source's weight to timm's
    part: tuple[int, int] | None = None  # (index, number) of the parts that are stacked along the outputs
    bias: Transform = _same
    first: int = 0  # the number from which the source counts

    @functools.cached_property
    def pattern(self) -> re.Pattern[str]:
        words = {"{i}": r"(?P<i>\d+)", "{j}": r"(?P<j>\d+)", "{p}": r"(?P<p>weight|bias|kernel|scale)"}
        source = self.source
        for word, group in words.items():
            source = source.replace(word, group)
        return re.compile(source)

    def apply(self, name: str, tensor: Tensor) -> tuple[str, Tensor] | None:
        match = self.pattern.fullmatch(name)
        if match is None:
            return None
        found = match.groupdict()
        last = {"kernel": "weight", "scale": "weight"}.get(found.get("p", ""), found.get("p", ""))
        transform = self.bias if last == "bias" else self.weight
        numbers = {word: int(found[word]) - self.first for word in ("i", "j") if word in found}
        return self.target.format(**numbers, p=last), transform(tensor)


@dataclass(frozen=True, kw_only=True)
class Format:
    name: str
    rules: tuple[Rule, ...]
    resize: str = "bicubic_antialias"  # the method of the format's own code
    unused: Mapping[str, str] = field(default_factory=dict)  # pattern → why it is not loaded
    assumed: Mapping[str, Any] = field(default_factory=dict)  # settings that its code fixes and its files do not show
    prefixes: tuple[str, ...] = ()  # one of them may stand before every name


def _jax(source: str, target: str, weight: Transform = _flat, part: tuple[int, int] | None = None) -> Rule:
    return Rule(source, target, weight, part, _flat)


def _unit(source: str, target: str, weight: Transform = _flat) -> Rule:
    """A tensor of a hybrid's residual network, whose stages and units count from 1."""
    at = "patch_embed.backbone.stages.{i}.blocks.{j}."
    return Rule("block{i}/unit{j}/" + source, at + target, weight, bias=_flat, first=1)


def _jax_attention(source: str, qkv: str, kv: tuple[str, ...]) -> tuple[Rule, ...]:
    parts = ((name, (number, len(kv))) for number, name in enumerate(kv))
    return tuple(_jax(f"{source}/{name}/{{p}}", qkv, _to_heads, part) for name, part in parts)


_BLOCK = "Transformer/encoderblock_{i}"
_POOL_ATTENTION = "MAPHead_0/MultiHeadDotProductAttention_0"

JAX_RULES = (
    _jax("embedding/{p}", "patch_embed.proj.{p}", _conv),
    Rule("cls", "cls_token"),
    Rule("(?:Transformer/posembed_input/|Transformer/)?pos_embedding", "pos_embed"),
    _jax(f"{_BLOCK}/LayerNorm_0/{{p}}", "blocks.{i}.norm1.{p}"),
    _jax(f"{_BLOCK}/LayerNorm_[12]/{{p}}", "blocks.{i}.norm2.{p}"),
    *_jax_attention(
        f"{_BLOCK}/MultiHeadDotProductAttention_[01]", "blocks.{i}.attn.qkv.{p}", ("query", "key", "value")
    ),
    _jax(f"{_BLOCK}/MultiHeadDotProductAttention_[01]/out/{{p}}", "blocks.{i}.attn.proj.{p}", _from_heads),
    _jax(f"{_BLOCK}/MlpBlock_[03]/Dense_0/{{p}}", "blocks.{i}.mlp.fc1.{p}", _dense),
    _jax(f"{_BLOCK}/MlpBlock_[03]/Dense_1/{{p}}", "blocks.{i}.mlp.fc2.{p}", _dense),
    _jax("Transformer/encoder_norm/{p}", "norm.{p}"),
    _jax("pre_logits/{p}", "pre_logits.fc.{p}", _dense),
    _jax("head/{p}", "head.{p}", _dense),
    Rule("MAPHead_0/probe", "attn_pool.latent"),
    *_jax_attention(_POOL_ATTENTION, "attn_pool.q.{p}", ("query",)),
    *_jax_attention(_POOL_ATTENTION, "attn_pool.kv.{p}", ("key", "value")),
    _jax(f"{_POOL_ATTENTION}/out/{{p}}", "attn_pool.proj.{p}", _from_heads),
    _jax("MAPHead_0/LayerNorm_0/{p}", "attn_pool.norm.{p}"),
    _jax("MAPHead_0/MlpBlock_0/Dense_0/{p}", "attn_pool.mlp.fc1.{p}", _dense),
    _jax("MAPHead_0/MlpBlock_0/Dense_1/{p}", "attn_pool.mlp.fc2.{p}", _dense),
    _jax("conv_root/{p}", "patch_embed.backbone.stem.conv.{p}", _conv),
    _jax("gn_root/{p}", "patch_embed.backbone.stem.norm.{p}"),
    *(_unit(f"conv{n}/{{p}}", f"conv{n}.{{p}}", _conv) for n in (1, 2, 3)),
    *(_unit(f"gn{n}/{{p}}", f"norm{n}.{{p}}") for n in (1, 2, 3)),
    _unit("conv_proj/{p}", "downsample.conv.{p}", _conv),
    _unit("gn_proj/{p}", "downsample.norm.{p}"),
)

_HF_LAYER = r"(?:encoder\.layers?|layers)\.{i}"  # v4: encoder.layer; v5: layers

HF_RULES = (
    Rule(r"embeddings\.cls_token", "cls_token"),
    Rule(r"embeddings\.distillation_token", "dist_token"),
    Rule(r"embeddings\.position_embeddings", "pos_embed"),
    Rule(r"embeddings\.patch_embeddings\.projection\.{p}", "patch_embed.proj.{p}"),
    Rule(_HF_LAYER + r"\.layernorm_before\.{p}", "blocks.{i}.norm1.{p}"),
    Rule(_HF_LAYER + r"\.layernorm_after\.{p}", "blocks.{i}.norm2.{p}"),
    *(
        Rule(
            _HF_LAYER + rf"\.attention\.(?:attention\.{word}|{word[0]}_proj)\.{{p}}",
            "blocks.{i}.attn.qkv.{p}",
            part=(number, 3),
        )
        for number, word in enumerate(("query", "key", "value"))
    ),
    Rule(_HF_LAYER + r"\.attention\.(?:output\.dense|o_proj)\.{p}", "blocks.{i}.attn.proj.{p}"),
    Rule(_HF_LAYER + r"\.(?:intermediate\.dense|mlp\.fc1)\.{p}", "blocks.{i}.mlp.fc1.{p}"),
    Rule(_HF_LAYER + r"\.(?:output\.dense|mlp\.fc2)\.{p}", "blocks.{i}.mlp.fc2.{p}"),
    Rule(r"layernorm\.{p}", "norm.{p}"),
    Rule(r"pooler\.dense\.{p}", "pre_logits.fc.{p}"),
    Rule(r"(?:cls_)?classifier\.{p}", "head.{p}"),
    Rule(r"distillation_classifier\.{p}", "head_dist.{p}"),
)

_TV_LAYER = r"encoder\.layers\.encoder_layer_{i}"

TORCHVISION_RULES = (
    Rule("class_token", "cls_token"),
    Rule(r"conv_proj\.{p}", "patch_embed.proj.{p}"),
    Rule(r"encoder\.pos_embedding", "pos_embed"),
    Rule(_TV_LAYER + r"\.ln_1\.{p}", "blocks.{i}.norm1.{p}"),
    Rule(_TV_LAYER + r"\.ln_2\.{p}", "blocks.{i}.norm2.{p}"),
    Rule(_TV_LAYER + r"\.self_attention\.in_proj_{p}", "blocks.{i}.attn.qkv.{p}"),
    Rule(_TV_LAYER + r"\.self_attention\.out_proj\.{p}", "blocks.{i}.attn.proj.{p}"),
    Rule(_TV_LAYER + r"\.mlp\.(?:0|linear_1)\.{p}", "blocks.{i}.mlp.fc1.{p}"),
    Rule(_TV_LAYER + r"\.mlp\.(?:3|linear_2)\.{p}", "blocks.{i}.mlp.fc2.{p}"),
    Rule(r"encoder\.ln\.{p}", "norm.{p}"),
    Rule(r"heads\.pre_logits\.{p}", "pre_logits.fc.{p}"),
    Rule(r"heads\.head\.{p}", "head.{p}"),
)

TIMM_RULES = (
    Rule(r"patch_embed\.proj\.{p}", "patch_embed.proj.{p}", _patches),
    Rule(r"blocks\.{i}\.gamma_{j}", "blocks.{i}.ls{j}.gamma"),  # DeiT III
)

JAX_ASSUMED = {"norm_eps": 1e-6, "act": "gelu_tanh"}


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        form.name: form
        for form in (
            Format(name="vitbench", rules=()),
            Format(
                name="Google JAX",
                rules=JAX_RULES,
                resize="bilinear_align_corners",
                assumed=JAX_ASSUMED,
                prefixes=("opt/target/", "params/img/", "params/"),
            ),
            Format(
                name="Hugging Face",
                rules=HF_RULES,
                resize="bicubic",
                unused={r"embeddings\.mask_token": "it is for masked pretraining alone"},
                assumed={"norm_eps": 1e-12},
                prefixes=("vit.", "deit."),
            ),
            Format(name="torchvision ViT", rules=TORCHVISION_RULES, resize="bicubic_align_corners"),
            Format(name="torchvision or timm ResNet", rules=()),
            Format(name="DeiT", rules=TIMM_RULES, resize="bicubic"),
            Format(name="timm", rules=TIMM_RULES),
        )
    }
)
