"""The vision transformer (Dosovitskiy et al. 2021) and its common variations, under timm's parameter names."""

from __future__ import annotations

from collections import OrderedDict

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vitbench.declare.vit import ViTConfig
from vitbench.models.block import Block
from vitbench.models.drop_path import drop_path_rates
from vitbench.models.initialize import initialize, is_position
from vitbench.models.norm import NORMS
from vitbench.models.patch_embed import PatchEmbed
from vitbench.models.pooling import AttentionPool
from vitbench.models.pos_embed import POSITIONS
from vitbench.utils.errors import UserError


class VisionTransformer(nn.Module):
    """Images (batch, in_chans, height, width) to logits (batch, num_classes), or features (batch, dim) of 0 classes.

    Tokens are in the order class token, distillation token, registers, patches. With ``pool="cls"`` the head reads the
    class token; with ``mean`` and ``map`` there is none, and it reads the mean over the patches, or the attention of a
    learned query to all tokens. The final norm is applied before pooling (timm's default for mean pooling normalises
    the mean instead, as ``fc_norm``); with post-norm blocks there is none.

    With ``distilled`` a second head reads the distillation token: training mode returns both logits as a tuple, the
    class token's first; evaluation mode returns their mean.

    Raises:
        UserError: the image's size is not the config's; or a mask is given with batch norm in training.
    """

    pos_embed: Tensor | nn.Module | None

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.embed_dim
        position = POSITIONS[config.pos_embed]
        rope = position.rope(config) if position.rope else None
        rates = drop_path_rates(config.drop_path_rate, config.depth, config.drop_path_schedule)

        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim)) if config.pool == "cls" else None
        self.dist_token = nn.Parameter(torch.zeros(1, 1, dim)) if config.distilled else None
        self.reg_token = nn.Parameter(torch.zeros(1, config.num_registers, dim)) if config.num_registers else None
        table = position.table(config) if position.table else None
        if table is None or isinstance(table, (nn.Parameter, nn.Module)):
            self.pos_embed = table
        else:
            self.register_buffer("pos_embed", table)
        self.patch_embed = PatchEmbed(config)
        self.pos_drop = nn.Dropout(config.drop_rate)
        self.blocks = nn.ModuleList(Block(config, rate, rope) for rate in rates)
        self.positions_again = table is not None and config.pos_embed_at != "stem"
        if position.table and config.pos_embed_at == "every_layer" and "pos_embed" not in self._buffers:
            for block in self.blocks[1:]:  # the first block's positions are added at the stem
                block.pos_embed = position.table(config)
        self.norm = nn.Identity() if config.norm_position == "post" else NORMS[config.norm](dim, config.norm_eps)
        self.attn_pool = AttentionPool(config) if config.pool == "map" else None
        width = config.representation_size
        self.pre_logits = None if width is None else nn.Sequential(OrderedDict(fc=nn.Linear(dim, width), act=nn.Tanh()))
        self.head = nn.Linear(width or dim, config.num_classes) if config.num_classes else nn.Identity()
        self.head_dist = None
        if config.distilled:
            self.head_dist = nn.Linear(dim, config.num_classes) if config.num_classes else nn.Identity()
        initialize(self, config)

    def forward(
        self, x: Float[Tensor, "batch in_chans height width"], mask: Bool[Tensor, "batch patches"] | None = None
    ) -> Float[Tensor, "batch outputs"] | tuple[Float[Tensor, "batch outputs"], Float[Tensor, "batch outputs"]]:
        """``mask`` is True for real patches and False for padding, which changes no output.

        Each row needs at least one True. A convolutional stem sees adjacent padding: set it to zero there.
        """
        if mask is not None:
            mask = self._mask_tokens(mask)
        x = self.embed(x)
        for layer, block in enumerate(self.blocks):
            if layer and self.positions_again:
                x = x + self._positions(block.pos_embed)
            x = block(x, mask)
        if self.head_dist is not None:
            tokens = self._normed(x, slice(2))
            first, second = self.head(tokens[:, 0]), self.head_dist(tokens[:, 1])
            return (first, second) if self.training else (first + second) / 2
        return self.head(self.pool(x, mask))

    def embed(self, x: Float[Tensor, "batch in_chans height width"]) -> Float[Tensor, "batch tokens dim"]:
        """The input of the first block: patches with the tokens before them, and positions added."""
        patches = self.patch_embed(x)
        prefix = [
            token.expand(len(patches), -1, -1)
            for token in (self.cls_token, self.dist_token, self.reg_token)
            if token is not None
        ]
        tokens = torch.cat((*prefix, patches), dim=1)  # the only copy, which also makes the tokens contiguous
        # under autocast all kinds keep residuals in full precision
        tokens = tokens.to(self.patch_embed.proj.weight.dtype)
        if self.pos_embed is not None:
            tokens += self._positions(None)  # in place, as nothing else refers to these tokens
        return self.pos_drop(tokens)

    def pool(
        self, x: Float[Tensor, "batch tokens dim"], mask: Bool[Tensor, "batch tokens"] | None = None
    ) -> Float[Tensor, "batch features"]:
        """The input of the head, from the output of the last block."""
        if self.cls_token is not None:
            x = self._normed(x, 0)
        elif self.attn_pool is not None:
            x = self.attn_pool(self.norm(x), mask)
        else:
            prefix = self.config.num_prefix_tokens
            x = self._normed(x, slice(prefix, None)) if prefix else self.norm(x)
            if mask is None:
                x = x.mean(dim=1)
            else:
                there = mask[:, prefix:, None]
                x = x.masked_fill(~there, 0).sum(dim=1) / there.sum(dim=1)
        return x if self.pre_logits is None else self.pre_logits(x)

    def _normed(self, x: Tensor, read: int | slice) -> Tensor:
        """The tokens that are read, after the final norm; only batch norm needs the others too."""
        return self.norm(x)[:, read] if self.config.norm == "batchnorm" else self.norm(x[:, read])

    def _positions(self, own: Tensor | nn.Module | None) -> Tensor:
        """A block's own table, or the model's if it has none: (1, tokens, dim)."""
        table = self.pos_embed if own is None else own
        assert table is not None
        return table if isinstance(table, Tensor) else table()

    def _mask_tokens(self, mask: Bool[Tensor, "batch patches"]) -> Bool[Tensor, "batch tokens"]:
        """The mask extended to the tokens before the patches, which are never padding."""
        if self.training and self.config.norm == "batchnorm":
            raise UserError(
                "a padding mask and norm=batchnorm do not train together: padding would be part of the means"
            )
        return torch.cat((mask.new_ones(len(mask), self.config.num_prefix_tokens), mask), dim=1)

    def no_weight_decay(self) -> set[str]:
        """Names of parameters without weight decay: tokens and position embeddings."""
        tokens = {"cls_token", "dist_token", "reg_token", "attn_pool.latent"}
        return {name for name, _ in self.named_parameters() if name in tokens or is_position(name)}
