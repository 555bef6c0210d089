"""The vision transformer (Dosovitskiy et al. 2021) with pre-norm blocks, under timm's parameter names."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vitbench.config import ViTConfig
from vitbench.models.attention import Attention
from vitbench.models.drop_path import DropPath, drop_path_rates
from vitbench.models.initialize import initialize
from vitbench.models.patch_embed import PatchEmbed
from vitbench.models.pos_embed import POSITIONS, Rope


class Mlp(nn.Module):
    """Two linear maps with an exact GELU between them, dropout after each."""

    def __init__(self, dim: int, hidden: int, drop_rate: float = 0.0) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, dim)
        self.drop = nn.Dropout(drop_rate)

    def forward(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        return self.drop(self.fc2(self.drop(self.act(self.fc1(x)))))


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)), each branch under stochastic depth."""

    def __init__(self, config: ViTConfig, drop_path_rate: float = 0.0, rope: Rope | None = None) -> None:
        super().__init__()
        bias = POSITIONS[config.pos_embed].bias
        self.norm1 = nn.LayerNorm(config.embed_dim, eps=config.norm_eps)
        self.attn = Attention(
            config.embed_dim,
            config.num_heads,
            qkv_bias=config.qkv_bias,
            attn_drop_rate=config.attn_drop_rate,
            drop_rate=config.drop_rate,
            rel_pos=bias(config) if bias else None,
            rope=rope,
        )
        self.norm2 = nn.LayerNorm(config.embed_dim, eps=config.norm_eps)
        self.mlp = Mlp(config.embed_dim, config.mlp_dim, config.drop_rate)
        self.drop_path = DropPath(drop_path_rate)

    def forward(
        self, x: Float[Tensor, "batch tokens dim"], mask: Bool[Tensor, "batch tokens"] | None = None
    ) -> Float[Tensor, "batch tokens dim"]:
        x = x + self.drop_path(self.attn(self.norm1(x), mask))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class VisionTransformer(nn.Module):
    """Images (batch, in_chans, height, width) to logits (batch, num_classes), or features (batch, dim) of 0 classes.

    With ``pool="cls"`` the head reads the class token; with ``pool="mean"`` there is no class token and it reads the
    mean over the patches. Either way the final norm acts on the tokens before they are pooled (timm's default for
    mean pooling instead norms the mean, as ``fc_norm``).

    Raises:
        UserError: the image has another size than the config says.
    """

    pos_embed: Tensor | None

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        position = POSITIONS[config.pos_embed]
        rope = position.rope(config) if position.rope else None
        rates = drop_path_rates(config.drop_path_rate, config.depth, config.drop_path_schedule)

        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.embed_dim)) if config.pool == "cls" else None
        table = position.table(config) if position.table else None
        if isinstance(table, nn.Parameter):
            self.pos_embed = table
        else:
            self.register_buffer("pos_embed", table)
        self.patch_embed = PatchEmbed(config.img_size, config.patch_size, config.in_chans, config.embed_dim)
        self.pos_drop = nn.Dropout(config.drop_rate)
        self.blocks = nn.ModuleList(Block(config, rate, rope) for rate in rates)
        self.norm = nn.LayerNorm(config.embed_dim, eps=config.norm_eps)
        self.head = nn.Linear(config.embed_dim, config.num_classes) if config.num_classes else nn.Identity()
        initialize(self, config)

    def forward(self, x: Float[Tensor, "batch in_chans height width"]) -> Float[Tensor, "batch outputs"]:
        x = self.embed(x)
        for block in self.blocks:
            x = block(x)
        return self.head(self.pool(x))

    def embed(self, x: Float[Tensor, "batch in_chans height width"]) -> Float[Tensor, "batch tokens dim"]:
        """Patches with their class token and positions: what the first block receives."""
        patches = self.patch_embed(x)
        prefix = () if self.cls_token is None else (self.cls_token.expand(len(patches), -1, -1),)
        tokens = torch.cat((*prefix, patches), dim=1)  # the one copy, which also makes the tokens contiguous
        tokens = tokens.to(self.norm.weight.dtype)  # under autocast every kind carries its residuals in full precision
        if self.pos_embed is not None:
            tokens += self.pos_embed  # in place: nobody else holds these tokens
        return self.pos_drop(tokens)

    def pool(self, x: Float[Tensor, "batch tokens dim"]) -> Float[Tensor, "batch dim"]:
        """What the head reads. A norm acts on each token alone, so the class token needs no other one normed."""
        return self.norm(x[:, 0]) if self.cls_token is not None else self.norm(x).mean(dim=1)

    def no_weight_decay(self) -> set[str]:
        """Names of tokens and position embeddings, which weight decay would pull to nowhere in particular."""
        names = ("cls_token", "pos_embed", "relative_position_bias_table")
        return {name for name, _ in self.named_parameters() if name.endswith(names)}
