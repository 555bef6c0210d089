"""An image cut into patches, each mapped to a token by one linear map (a convolution whose stride is its kernel)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from vitbench.config import Size, as_pair
from vitbench.errors import UserError


class PatchEmbed(nn.Module):
    """Patches in reading order: row by row, left to right.

    The tokens come out as a view with the layout of the convolution (channels outermost); who needs them contiguous
    copies once, together with whatever else it does (``VisionTransformer`` while adding the class token).
    """

    def __init__(self, img_size: Size, patch_size: Size, in_chans: int, embed_dim: int) -> None:
        super().__init__()
        self.img_size = as_pair(img_size)
        self.proj = nn.Conv2d(in_chans, embed_dim, kernel_size=as_pair(patch_size), stride=as_pair(patch_size))

    def forward(self, x: Float[Tensor, "batch in_chans height width"]) -> Float[Tensor, "batch patches dim"]:
        if x.shape[-2:] != self.img_size:
            height, width = self.img_size
            raise UserError(
                f"an image of {x.shape[-2]}×{x.shape[-1]} px does not fit this model: it takes {height}×{width}; "
                f"build one with img_size=({x.shape[-2]}, {x.shape[-1]})"
            )
        return self.proj(x).flatten(2).transpose(1, 2)
