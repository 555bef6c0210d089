"""Multi-head self-attention with one fused projection for queries, keys and values, under timm's names."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812  # the name everybody gives it
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vitbench.models.pos_embed import RelativeBias, Rope


class Attention(nn.Module):
    """softmax(q kᵀ / √head_dim) v in ``num_heads`` heads (Vaswani et al. 2017), fused where torch can.

    Args:
        rel_pos: a bias added to the scores, if any.
        rope: a rotation of queries and keys, if any.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        *,
        qkv_bias: bool = True,
        attn_drop_rate: float = 0.0,
        drop_rate: float = 0.0,
        rel_pos: RelativeBias | None = None,
        rope: Rope | None = None,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.attn_drop_rate = attn_drop_rate
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.rel_pos = rel_pos
        self.rope = rope
        self.proj = nn.Linear(dim, dim)
        self.proj_drop = nn.Dropout(drop_rate)

    def forward(
        self, x: Float[Tensor, "batch tokens dim"], mask: Bool[Tensor, "batch tokens"] | None = None
    ) -> Float[Tensor, "batch tokens dim"]:
        """Attends from every token to those that ``mask`` keeps.

        It is True for the tokens that are there, False for padding, and needs one True a row. Padding is attended to
        by none; what comes out in its own place means nothing.
        """
        qkv = self.qkv(x).unflatten(-1, (3, self.num_heads, -1))
        if self.rope is None:
            q, k, v = qkv.unbind(2)  # not after a permute: its gradient then stacks straight into the layout of qkv
        else:
            qk, v = self.rope(qkv[:, :, :2]), qkv[:, :, 2]
            q, k = qk.unbind(2)
        out = F.scaled_dot_product_attention(
            q.transpose(1, 2),
            k.transpose(1, 2),
            v.transpose(1, 2),
            attn_mask=self._score_mask(q, mask),
            dropout_p=self.attn_drop_rate if self.training else 0.0,
        )
        return self.proj_drop(self.proj(out.transpose(1, 2).flatten(2)))

    def _score_mask(
        self, q: Float[Tensor, "batch tokens heads head"], mask: Bool[Tensor, "batch tokens"] | None
    ) -> Bool[Tensor, "batch 1 1 tokens"] | Float[Tensor, "#batch heads tokens tokens"] | None:
        """What the scores are masked with: keys that count, or a bias, -inf where a key does not count."""
        keep = None if mask is None else mask[:, None, None]
        if self.rel_pos is None:
            return keep
        bias = self.rel_pos().to(q.dtype)[None]
        return bias if keep is None else bias.masked_fill(~keep, float("-inf"))
