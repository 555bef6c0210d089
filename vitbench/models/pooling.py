"""Pooling by learned attention: one learned query attends to the tokens of each image (MAP, Lee et al. 2019)."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812  # the usual name
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vitbench.declare.vit import ViTConfig
from vitbench.models.mlp import Mlp
from vitbench.models.norm import NORMS


class AttentionPool(nn.Module):
    """y = attention(latent, tokens), then y + mlp(norm(y)): ``AttentionPoolLatent`` of timm and big_vision."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        dim = config.embed_dim
        self.num_heads = config.num_heads
        self.latent = nn.Parameter(torch.zeros(1, 1, dim))
        self.q = nn.Linear(dim, dim)
        self.kv = nn.Linear(dim, 2 * dim)
        self.proj = nn.Linear(dim, dim)
        self.norm = NORMS[config.norm](dim, config.norm_eps)
        self.mlp = Mlp(dim, config.mlp_dim, act=config.act)

    def forward(
        self, x: Float[Tensor, "batch tokens dim"], mask: Bool[Tensor, "batch tokens"] | None = None
    ) -> Float[Tensor, "batch dim"]:
        """The query attends only to the tokens that ``mask`` keeps."""
        q = self.q(self.latent).unflatten(-1, (self.num_heads, -1)).transpose(1, 2).expand(len(x), -1, -1, -1)
        k, v = self.kv(x).unflatten(-1, (2, self.num_heads, -1)).unbind(2)
        out = F.scaled_dot_product_attention(
            q, k.transpose(1, 2), v.transpose(1, 2), attn_mask=None if mask is None else mask[:, None, None]
        )
        pooled = self.proj(out.transpose(1, 2).flatten(2))[:, 0]
        return pooled + self.mlp(self.norm(pooled))
