"""Multi-head self-attention with one fused projection for queries, keys and values, under timm's names."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812  # the usual name
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vitbench.declare.vit import Norm
from vitbench.models.norm import NORMS
from vitbench.models.pos_embed import RelativeBias, Rope


class Attention(nn.Module):
    """softmax(q kᵀ · scale) v in ``num_heads`` heads (Vaswani et al. 2017), fused where torch can fuse it.

    Args:
        qk_norm: normalises queries and keys per head, before any rotation; None: no norm.
        scale: of the scores; None: 1/√head_dim.
        eager: computes attention by explicit matrix products; equal results, more memory.
        causal: a token attends to no later token.
        rel_pos: a bias added to the scores, if any.
        rope: a rotation of queries and keys, if any.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        *,
        qkv_bias: bool = True,
        qk_norm: Norm | None = None,
        norm_eps: float = 1e-6,
        scale: float | None = None,
        eager: bool = False,
        causal: bool = False,
        attn_drop_rate: float = 0.0,
        drop_rate: float = 0.0,
        rel_pos: RelativeBias | None = None,
        rope: Rope | None = None,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.scale = scale
        self.eager = eager
        self.causal = causal
        self.attn_drop_rate = attn_drop_rate
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.q_norm = NORMS[qk_norm](dim // num_heads, norm_eps) if qk_norm else None
        self.k_norm = NORMS[qk_norm](dim // num_heads, norm_eps) if qk_norm else None
        self.rel_pos = rel_pos
        self.rope = rope
        self.proj = nn.Linear(dim, dim)
        self.proj_drop = nn.Dropout(drop_rate)

    def forward(
        self, x: Float[Tensor, "batch tokens dim"], mask: Bool[Tensor, "batch tokens"] | None = None
    ) -> Float[Tensor, "batch tokens dim"]:
        """Attends from every token to those that ``mask`` keeps.

        The mask is True for real tokens and False for padding, with at least one True in each row. No token attends to
        padding, and the outputs at padded positions are meaningless.
        """
        if self.eager:
            return self.with_weights(x, mask)[0]
        q, k, v = self._qkv(x)
        score_mask = self._score_mask(q, mask)
        out = F.scaled_dot_product_attention(
            q.transpose(1, 2),
            k.transpose(1, 2),
            v.transpose(1, 2),
            attn_mask=score_mask,
            dropout_p=self.attn_drop_rate if self.training else 0.0,
            is_causal=self.causal and score_mask is None,
            scale=self.scale,
        )
        return self.proj_drop(self.proj(out.transpose(1, 2).flatten(2)))

    def with_weights(
        self, x: Float[Tensor, "batch tokens dim"], mask: Bool[Tensor, "batch tokens"] | None = None
    ) -> tuple[Float[Tensor, "batch tokens dim"], Float[Tensor, "batch heads tokens tokens"]]:
        """The output of ``forward``, and the weights from each query (row) to each key: rows sum to 1.

        Works whichever way ``forward`` takes. The weights are those before dropout.
        """
        q, k, v = self._qkv(x)
        scores = q.transpose(1, 2) @ k.permute(0, 2, 3, 1)
        scores = scores * (q.shape[-1] ** -0.5 if self.scale is None else self.scale)
        score_mask = self._score_mask(q, mask)
        if score_mask is None and self.causal:
            score_mask = _causal(q)
        if score_mask is not None:
            allowed = score_mask.dtype == torch.bool
            scores = scores.masked_fill(~score_mask, float("-inf")) if allowed else scores + score_mask
        weights = scores.softmax(-1)
        out = F.dropout(weights, self.attn_drop_rate, self.training).to(v.dtype) @ v.transpose(1, 2)
        return self.proj_drop(self.proj(out.transpose(1, 2).flatten(2))), weights

    def _qkv(self, x: Float[Tensor, "batch tokens dim"]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (batch, tokens, heads, head)."""
        qkv = self.qkv(x).unflatten(-1, (3, self.num_heads, -1))
        if self.q_norm is not None and self.k_norm is not None:
            q, k, v = qkv.unbind(2)
            q, k = self.q_norm(q).to(v.dtype), self.k_norm(k).to(v.dtype)  # under autocast a norm returns float32
            if self.rope is not None:
                q, k = self.rope(torch.stack((q, k), dim=2)).unbind(2)
        elif self.rope is None:
            q, k, v = qkv.unbind(
                2
            )  # not after a permute, so that the gradient is stacked directly in the layout of qkv
        else:
            qk, v = self.rope(qkv[:, :, :2]), qkv[:, :, 2]
            q, k = qk.unbind(2)
        return q, k, v

    def _score_mask(
        self, q: Float[Tensor, "batch tokens heads head"], mask: Bool[Tensor, "batch tokens"] | None
    ) -> Bool[Tensor, "#batch 1 #tokens tokens"] | Float[Tensor, "#batch heads tokens tokens"] | None:
        """The mask of the scores: True for keys that count, or a bias with -inf for keys that do not.

        None if there is only a causal mask, which the fused kernel applies itself.
        """
        keep = None if mask is None else mask[:, None, None]
        if self.causal and (keep is not None or self.rel_pos is not None):
            order = _causal(q)
            if keep is None:
                keep = order
            else:  # padding before the first real token attends to itself alone: a softmax over nothing is NaN
                keep = order & (keep | torch.eye(order.shape[-1], dtype=torch.bool, device=order.device))
        if self.rel_pos is None:
            return keep
        bias = self.rel_pos().to(q.dtype)[None]
        return bias if keep is None else bias.masked_fill(~keep, float("-inf"))


def _causal(q: Float[Tensor, "batch tokens heads head"]) -> Bool[Tensor, "1 1 tokens tokens"]:
    """True from each token to itself and to earlier tokens."""
    tokens = q.shape[1]
    return torch.ones(tokens, tokens, dtype=torch.bool, device=q.device).tril()[None, None]
