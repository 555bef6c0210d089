"""The four initialisations of a vision transformer, each taken from the code that the table names.

| name    | linear                | patches           | class token | head     | source                               |
|---------|-----------------------|-------------------|-------------|----------|--------------------------------------|
| timm    | truncated normal .02  | torch's default   | normal .02  | as linear| timm 0.4.12                          |
| jax     | Xavier, q k v apart   | LeCun normal      | 0           | 0        | google-research/vision_transformer   |
| classic | truncated normal .01  | Kaiming fan-out   | normal .02  | as linear| vit_model.py of WZMIAOMIAO           |
| moco    | Xavier, q k v apart   | Xavier            | normal 1e-6 | as linear| facebookresearch/moco-v3             |

Biases start at 0 (patches under ``timm``: torch's default; MLP biases under ``jax``: normal 1e-6), norms at 1 and 0.
The distillation token starts as the class token does, registers normal 1e-6, the query of attention pooling normal
with standard deviation 1/√dim, all as in timm; a stem's convolutions as ``stem`` says.
In all four the learned position embeddings, ``pos_embed`` and the tables of relative biases, are normal with standard
deviation ``pos_embed_std``; its default .02 is that of the sources, and of Swin for the biases. Where a source
truncates these at ±2, as ``trunc_normal_`` does, that has no effect.
"""

from __future__ import annotations

import math
import re
import types
from collections.abc import Callable, Mapping

from jaxtyping import Float
from torch import Tensor, nn

from vitbench.declare.vit import Init, ViTConfig

JAX_TRUNCATED_STD = 0.87962566103423978
"""Standard deviation of a unit normal truncated at ±2; flax divides by it to keep the variance."""


def _zero_bias(layer: nn.Linear | nn.Conv2d) -> None:
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def _xavier_apart(weight: Float[Tensor, "outputs inputs"], maps: int) -> None:
    """Xavier uniform; a fused qkv is initialised as three square maps, not as one with three times the fan-out."""
    for part in weight.detach().chunk(maps):
        nn.init.xavier_uniform_(part)


def _timm(model: nn.Module, *, std: float = 0.02) -> None:
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=std)
            _zero_bias(module)
    _token(model, 0.02)


def _classic(model: nn.Module) -> None:
    _timm(model, std=0.01)
    patches = _patches(model)
    nn.init.kaiming_normal_(patches.weight, mode="fan_out")
    _zero_bias(patches)


def _jax(model: nn.Module) -> None:
    _xavier(model)
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and ".mlp." in name:
            nn.init.normal_(module.bias, std=1e-6)
        elif isinstance(module, nn.Linear) and name in {"head", "head_dist"}:
            nn.init.zeros_(module.weight)
    patches = _patches(model)
    std = patches.weight[0].numel() ** -0.5 / JAX_TRUNCATED_STD
    nn.init.trunc_normal_(patches.weight, std=std, a=-2 * std, b=2 * std)
    _zero_bias(patches)
    _token(model, 0.0)


def _moco(model: nn.Module) -> None:
    _xavier(model)
    patches = _patches(model)
    bound = math.sqrt(6 / (patches.weight[0].numel() + patches.out_channels))
    nn.init.uniform_(patches.weight, -bound, bound)
    _zero_bias(patches)
    _token(model, 1e-6)


def _xavier(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            _xavier_apart(module.weight, maps={"qkv": 3, "kv": 2}.get(name.rpartition(".")[2], 1))
            _zero_bias(module)


def _patches(model: nn.Module) -> nn.Conv2d:
    layer = model.get_submodule("patch_embed.proj")
    assert isinstance(layer, nn.Conv2d)
    return layer


def _token(model: nn.Module, std: float) -> None:
    for name in ("cls_token", "dist_token"):
        token = getattr(model, name, None)
        if token is not None:
            nn.init.normal_(token, std=std)


def is_position(name: str) -> bool:
    """Whether a parameter of this dotted name is a learned position embedding, of any kind and layer."""
    return re.search(r"(?:^|\.)(?:pos_embed(?:$|\.)|relative_position_bias_table$)", name) is not None


INITS: Mapping[Init, Callable[[nn.Module], None]] = types.MappingProxyType(
    {"timm": _timm, "jax": _jax, "classic": _classic, "moco": _moco}
)
"""Word in the config → the function that initialises a model."""


def initialize(model: nn.Module, config: ViTConfig) -> None:
    """Draws all initial weights of a vision transformer from torch's global generator, in place."""
    INITS[config.init](model)
    for name, parameter in model.named_parameters():
        if is_position(name):
            nn.init.normal_(parameter, std=config.pos_embed_std)
        elif name == "reg_token":
            nn.init.normal_(parameter, std=1e-6)
        elif name == "attn_pool.latent":
            nn.init.normal_(parameter, std=config.embed_dim**-0.5)
