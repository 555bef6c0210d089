"""One layer of a vision transformer: attention, then feed-forward, each with a residual connection."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vitbench.declare.vit import ViTConfig
from vitbench.models.attention import Attention
from vitbench.models.drop_path import DropPath
from vitbench.models.mlp import build_mlp
from vitbench.models.norm import NORMS
from vitbench.models.pos_embed import POSITIONS, Rope


class LayerScale(nn.Module):
    """A learned factor for each channel (Touvron et al. 2021, CaiT)."""

    def __init__(self, dim: int, start: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), start))

    def forward(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        return x * self.gamma


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)), each branch under stochastic depth.

    With ``norm_position="post"``: norm(x + attention(x)), then norm(x + mlp(x)). Without ``residual`` a
    branch replaces its input.
    """

    pos_embed: Tensor | nn.Module | None
    """The block's own positions, if any; the caller adds them to the tokens before the block."""

    def __init__(self, config: ViTConfig, drop_path_rate: float = 0.0, rope: Rope | None = None) -> None:
        super().__init__()
        dim, norm = config.embed_dim, NORMS[config.norm]
        bias = POSITIONS[config.pos_embed].bias
        self.post_norm = config.norm_position == "post"
        self.residual = config.residual
        self.norm1 = norm(dim, config.norm_eps)
        self.attn = Attention(
            dim,
            config.num_heads,
            qkv_bias=config.qkv_bias,
            qk_norm=config.norm if config.qk_norm else None,
            norm_eps=config.norm_eps,
            scale=None if config.qk_scale is None else float(config.qk_scale),
            eager=config.attention == "eager",
            causal=config.attn_mask == "causal",
            attn_drop_rate=config.attn_drop_rate,
            drop_rate=config.drop_rate,
            rel_pos=bias(config) if bias else None,
            rope=rope,
        )
        self.ls1 = None if config.layer_scale is None else LayerScale(dim, float(config.layer_scale))
        self.norm2 = norm(dim, config.norm_eps)
        self.mlp = build_mlp(config)
        self.ls2 = None if config.layer_scale is None else LayerScale(dim, float(config.layer_scale))
        self.drop_path = DropPath(drop_path_rate)
        self.pos_embed = None

    def forward(
        self, x: Float[Tensor, "batch tokens dim"], mask: Bool[Tensor, "batch tokens"] | None = None
    ) -> Float[Tensor, "batch tokens dim"]:
        # no branch is assigned to a name: it would outlive its sum and add to the peak memory
        x = self._carry(x, self.attn(x if self.post_norm else self.norm1(x), mask), self.ls1)
        if self.post_norm:
            x = self.norm1(x)
        x = self._carry(x, self.mlp(x if self.post_norm else self.norm2(x)), self.ls2)
        return self.norm2(x) if self.post_norm else x

    def _carry(self, x: Tensor, branch: Tensor, scale: LayerScale | None) -> Tensor:
        """The branch, scaled and perhaps dropped, plus its input."""
        branch = self.drop_path(branch if scale is None else scale(branch))
        return x + branch if self.residual else branch
